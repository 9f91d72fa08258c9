"""What a sampler is: B environments and an agent, giving batches of T steps."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rlpyt.agents.base import Agent
from rlpyt.data import BatchSpec, EnvSpaces, Samples, TrajInfo
from rlpyt.envs.build import EnvConfig, peek_spaces

__all__ = ["BaseSampler"]


@dataclass(kw_only=True)
class BaseSampler(ABC):
    """Owns environments; hands out ``samples [T, B]`` and the episodes that finished."""

    # A Gymnasium id, "module:callable", a callable, or an EnvConfig with options.
    env: EnvConfig | str | Callable[..., Any]
    batch_T: int
    batch_B: int
    # False: after an episode's end an environment waits for the next batch.
    mid_batch_reset: bool = True
    # Random steps at the start, between 0 and this, in each environment.
    max_decorrelation_steps: int = 0
    TrajInfoCls: type[TrajInfo] = TrajInfo
    poison: bool = False  # fill buffers with NaN and -42, to show a read before a write

    @property
    def batch_spec(self) -> BatchSpec:
        """T and B of one batch."""
        return BatchSpec(self.batch_T, self.batch_B)

    def env_spaces(self) -> EnvSpaces:
        """The spaces of one environment, from an instance made to look."""
        return peek_spaces(EnvConfig.of(self.env))

    @abstractmethod
    def initialize(
        self,
        agent: Agent,
        *,
        seed: int,
        discount: float = 1.0,
        bootstrap_value: bool = False,
        rank: int = 0,
    ) -> None:
        """Start the environments and bind the (initialised) agent."""

    @abstractmethod
    def obtain_samples(self, itr: int) -> tuple[Samples, list[TrajInfo]]:
        """One batch, [T, B], and the episodes that ended in it."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Where the next batch starts."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""

    @abstractmethod
    def shutdown(self) -> None:
        """Close environments, end processes."""
