"""The serial sampler: everything in this process. The reference for every other sampler, and the
one to debug with.
"""

from dataclasses import dataclass, field
from typing import Any, final

from rlpyt.agents.base import Actor, Agent
from rlpyt.data import Samples, TrajInfo
from rlpyt.envs.build import EnvConfig, build_vector_env
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.collector import Collector
from rlpyt.utils.collections import namedarraytuple

__all__ = ["SerialSampler"]


@final
@dataclass(kw_only=True)
class SerialSampler(BaseSampler):
    """B environments stepped in this process, the agent acting for all of them at once."""

    _collector: Collector | None = field(init=False, repr=False, compare=False, default=None)

    def initialize(
        self,
        agent: Agent,
        *,
        seed: int,
        discount: float = 1.0,
        bootstrap_value: bool = False,
        rank: int = 0,
    ) -> None:
        """Make the environments, global indices from ``rank * B``, and start an episode in each."""
        config = EnvConfig.of(self.env)
        indices = range(rank * self.batch_B, (rank + 1) * self.batch_B)
        env = build_vector_env(config, indices, seed=seed, auto_reset=self.mid_batch_reset)
        keys = config.info_keys
        self._collector = Collector(
            env,
            Actor(agent, indices, seed=seed),
            self.batch_T,
            mid_batch_reset=self.mid_batch_reset,
            bootstrap_value=bootstrap_value,
            traj_info=self.TrajInfoCls(discount=discount),
            poison=self.poison,
            info_example=namedarraytuple("EnvInfo", keys)(*[0.0] * len(keys)) if keys else None,
        )
        self._collector.reset(max_decorrelation_steps=self.max_decorrelation_steps)

    def obtain_samples(self, itr: int) -> tuple[Samples, list[TrajInfo]]:
        """One batch, [T, B], overwritten by the next call; and the episodes that ended in it."""
        return self._running().collect()

    def _running(self) -> Collector:
        if self._collector is None:
            raise RuntimeError("SerialSampler: call initialize(agent, seed=...) first")
        return self._collector

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch starts."""
        return self._running().state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._running().load_state_dict(state)

    def shutdown(self) -> None:
        """Close the environments."""
        if self._collector is not None:
            self._collector.env.close()
            self._collector = None
