"""NGU and Agent57: for one seed and group_size, every sampler gives the same bits: arms, intrinsic
rewards, bandits and all.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from parallel_fakes import ENVS, FEW_CPUS, LAYOUTS, assert_same_result, run_case
from sampler_fakes import CountTrajInfo

from rlpyt.agents import ArmAgent, EpsilonGreedy
from rlpyt.algos import NGU, Agent57
from rlpyt.replays import ReplayBuffer
from rlpyt.replays.priority import Prioritized
from rlpyt.runners.evaluator import Evaluator
from rlpyt.samplers import BaseSampler

pytestmark = pytest.mark.filterwarnings(FEW_CPUS)

CLASSES: dict[str, type[NGU] | type[Agent57]] = {"ngu": NGU, "agent57": Agent57}
SMALL = {"feature_size": 4, "hidden_sizes": (8,)}


@dataclass(frozen=True, kw_only=True)
class FamilyCase:
    """One run of sampling and learning, for :func:`parallel_fakes.run_case`."""

    kind: str
    seed: int = 0
    n_itr: int = 12
    settings: dict[str, Any] = field(default_factory=dict)

    def agent(self) -> ArmAgent:
        """Not yet initialised."""
        return ArmAgent(
            n_arms=3,
            split=CLASSES[self.kind].split,
            model_kwargs={"hidden_sizes": [16], "rnn_size": 6},
            epsilon=EpsilonGreedy(final=0.4, final_min=0.01, steps=400, evaluation=0.2),
        )

    def algorithm(self) -> NGU | Agent57:
        """With a learning rate that moves the parameters."""
        sequences: dict[str, Any] = {
            "sequence_length": 4,
            "burn_in": 3,
            "rnn_state_interval": 3,
        }
        return CLASSES[self.kind](
            replay=ReplayBuffer(size=512, prioritized=Prioritized(), **sequences),
            batch_size=16,
            min_steps_learn=160,
            replay_ratio=1.0,
            learning_rate=1e-2,
            target_update_interval=3,
            reward_kwargs={"episodic_kwargs": SMALL, "lifelong_kwargs": SMALL},
        )

    def sampler(self, layout: str, **settings: Any) -> BaseSampler:
        """Eight environments in groups of two."""
        cls, own = LAYOUTS[layout]
        common: dict[str, Any] = {
            "env": ENVS["cartpole"],
            "batch_T": 10,
            "batch_B": 8,
            "group_size": 2,
            "max_decorrelation_steps": 9,
            "TrajInfoCls": CountTrajInfo,
            "poison": True,
        }
        return cls(**{**common, **own, **self.settings, **settings})


@pytest.mark.parametrize(
    ("case", "layouts"),
    [
        (FamilyCase(kind="agent57"), ["cpu2", "gpu2", "alternating2"]),
        (FamilyCase(kind="agent57", seed=1, settings={"mid_batch_reset": False}), ["cpu2"]),
        (FamilyCase(kind="ngu"), ["cpu2", "alternating2"]),
    ],
    ids=["agent57", "agent57-waits", "ngu"],
)
def test_every_sampler_gives_the_serial_samplers_result(
    case: FamilyCase, layouts: list[str]
) -> None:
    def evaluator() -> Evaluator:
        return Evaluator(episodes=5, n_envs=3, greedy=False)

    reference = run_case(case, "serial", evaluator=evaluator())
    arms = torch.cat([samples.agent_info.arm for samples in reference.samples])
    assert set(arms.unique().tolist()) == {0, 1, 2}
    assert sum(map(len, reference.trajs)) > case.n_itr
    for layout in layouts:
        assert_same_result(reference, run_case(case, layout, evaluator=evaluator()))
