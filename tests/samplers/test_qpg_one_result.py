"""Off-policy actor-critics: for one seed and group_size, every sampler gives the same bits, whether
actions are random, sampled or noisy.
"""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from parallel_fakes import ENVS, FEW_CPUS, LAYOUTS, assert_same_result, run_case
from sampler_fakes import CountTrajInfo

from rlpyt.agents.qpg import QpgAgent
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.algos.qpg import DDPG, REDQ, SAC, TD3, TQC, CrossQ, DiscreteSAC, QpgAlgorithm
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.samplers import BaseSampler

pytestmark = pytest.mark.filterwarnings(FEW_CPUS)


@dataclass(frozen=True, kw_only=True)
class QpgCase:
    """One run of sampling and learning, for :func:`parallel_fakes.run_case`."""

    cls: type[QpgAlgorithm]
    recurrent: str = "none"
    seed: int = 0
    n_itr: int = 10

    def agent(self) -> QpgAgent:
        """Random for the first three iterations."""
        exploration = QpgExploration(random_steps=200, noise_std=0.3)
        model = {"hidden_sizes": [16], **self._memory()}
        return QpgAgent(policy=self.cls.policy, model_kwargs=model, exploration=exploration)

    def _memory(self) -> dict[str, Any]:
        return {} if self.recurrent == "none" else {"recurrent": self.recurrent, "rnn_size": 8}

    def algorithm(self) -> QpgAlgorithm:
        """With a learning rate that moves the parameters."""
        replay = ReplayBuffer(size=512)
        if self.recurrent != "none":
            replay = replace(replay, sequence_length=4, burn_in=2, rnn_state_interval=2)
        return self.cls(
            replay=replay,
            batch_size=16,
            min_steps_learn=160,
            replay_ratio=1.0,
            learning_rate=1e-2,
            critic_kwargs={"hidden_sizes": [16], **self._memory()},
        )

    def sampler(self, layout: str, **settings: Any) -> BaseSampler:
        """Eight environments in groups of two."""
        cls, own = LAYOUTS[layout]
        common: dict[str, Any] = {
            "env": ENVS["cartpole" if self.cls is DiscreteSAC else "box"],
            "batch_T": 10,
            "batch_B": 8,
            "group_size": 2,
            "TrajInfoCls": CountTrajInfo,
            "poison": True,
        }
        return cls(**{**common, **own, **settings})


CASES = {
    "sac": QpgCase(cls=SAC),
    "td3": QpgCase(cls=TD3),
    "ddpg lstm": QpgCase(cls=DDPG, recurrent="lstm"),
    "sac discrete": QpgCase(cls=DiscreteSAC),
    "redq": QpgCase(cls=REDQ),
    "crossq": QpgCase(cls=CrossQ),
    "tqc": QpgCase(cls=TQC),
}


@pytest.mark.parametrize("name", CASES)
def test_every_sampler_gives_the_serial_samplers_result(name: str) -> None:
    case = CASES[name]
    reference = run_case(case, "serial")
    for layout in ("cpu2", "gpu2", "alternating2"):
        assert_same_result(reference, run_case(case, layout))
