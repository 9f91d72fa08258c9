"""NGU and Agent57, interrupted and resumed with replay, episodic memories and bandits, are the
uninterrupted runs, bit for bit.
"""

from pathlib import Path
from typing import Any

import pytest
from runner_fakes import assert_same_run, final_state, train
from test_parallel_resume import LAYOUTS, signalling

from rlpyt.agents.arms import ArmAgent
from rlpyt.agents.dqn import EpsilonGreedy
from rlpyt.algos.dqn import NGU, Agent57, FamilyAlgorithm
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl

pytestmark = pytest.mark.filterwarnings("ignore:.*share .* usable CPU:RuntimeWarning")

N_ITR, BATCH = 110, 8
SMALL = {"feature_size": 4, "hidden_sizes": (8,)}


def runner(cls: type[NGU] | type[Agent57], layout: str = "serial") -> MinibatchRl:
    """Four environments in groups of two, two steps an iteration."""
    sampler_cls, own = LAYOUTS[layout]
    sequences: dict[str, Any] = {"sequence_length": 4, "burn_in": 3, "rnn_state_interval": 3}
    algo = cls(
        discount=0.9,
        discount_min=0.5,
        replay=ReplayBuffer(size=512, prioritized=Prioritized(beta_steps=2_000), **sequences),
        batch_size=8,
        min_steps_learn=160,
        replay_ratio=1.5,
        learning_rate=1e-3,
        target_update_interval=17,
        reward_kwargs={"episodic_kwargs": SMALL, "lifelong_kwargs": SMALL},
    )
    return MinibatchRl(
        algo=algo,
        agent=ArmAgent(
            n_arms=3,
            split=cls.split,
            model_kwargs={"hidden_sizes": [8], "rnn_size": 6},
            epsilon=EpsilonGreedy(final=0.1, final_min=0.01, delay=160, steps=1_000),
        ),
        sampler=sampler_cls(
            env=EnvConfig(id="runner_fakes:Drift"), batch_T=2, batch_B=4, group_size=2, **own
        ),
        n_steps=BATCH * N_ITR,
        log_interval_steps=BATCH * N_ITR // 10,
    )


@pytest.mark.parametrize("cls", [NGU, Agent57])
def test_resumed_is_uninterrupted(tmp_path: Path, cls: type[NGU] | type[Agent57]) -> None:
    """Before it learns, while it learns, behind the replay's wrap, and under another sampler."""
    whole = train(runner(cls), tmp_path / "whole")
    for n, stop in enumerate((7, 40, 75)):
        with pytest.MonkeyPatch.context() as patch:
            stopping = signalling(FamilyAlgorithm.optimize_agent, stop)
            patch.setattr(FamilyAlgorithm, "optimize_agent", stopping)
            with pytest.raises(SystemExit):
                train(runner(cls), tmp_path / "parts", resume=n > 0)
    resumed = train(runner(cls, "cpu2"), tmp_path / "parts", resume=True)
    assert_same_run(whole, resumed)
    saved = set(final_state(whole)["arrays"])
    for part in (
        "algo/replay/",
        "algo/reward/in_episode",
        "algo/reward/lifelong",
        "agent/next_arm",
    ):
        assert any(name.startswith(part) for name in saved), part
    assert any(name.startswith("algo/arms/") for name in saved) == (cls is Agent57)
