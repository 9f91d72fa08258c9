"""The settings of the benchmark, the same for all implementations."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

__all__ = ["NOT_INSTALLED", "Run", "Settings"]

NOT_INSTALLED = 3  # exit status of a worker whose library is missing


@dataclass(frozen=True, kw_only=True)
class Run(ABC):
    """What is measured of a training run, and with what."""

    warmup_steps: int
    measured_steps: int
    threads: int = 1  # of torch
    seed: int = 0
    variant: str = ""

    @property
    @abstractmethod
    def batch(self) -> int:
        """Environment steps per iteration."""

    def whole(self, steps: int) -> int:
        """``steps`` rounded up to whole iterations."""
        return -(-steps // self.batch) * self.batch

    @property
    def first(self) -> int:
        """Environment steps of the warm-up, in whole iterations."""
        return self.whole(self.warmup_steps)

    @property
    def total(self) -> int:
        """Environment steps of warm-up and measurement together, in whole iterations."""
        return self.first + self.whole(self.measured_steps)


@dataclass(frozen=True, kw_only=True)
class Settings(Run):
    """PPO on CartPole-v1, the same for all.

    Variants: "native": Gymnasium's vectorised CartPole; "compile": our compiled update.
    """

    env_id: str = "CartPole-v1"
    num_envs: int = 8
    rollout: int = 128  # steps of each environment per iteration
    epochs: int = 4
    minibatch: int = 256  # samples per update
    hidden: tuple[int, int] = (64, 64)  # tanh, once for the policy and once for the value
    learning_rate: float = 2.5e-4  # Adam, constant
    adam_eps: float = 1e-5
    discount: float = 0.99
    gae_lambda: float = 0.95
    ratio_clip: float = 0.2
    entropy_coeff: float = 0.01
    value_coeff: float = 0.5
    max_grad_norm: float = 0.5
    warmup_steps: int = 8192
    measured_steps: int = 100_000

    @property
    def batch(self) -> int:
        """Environment steps per iteration."""
        return self.num_envs * self.rollout

    @property
    def updates_per_iteration(self) -> int:
        """Optimizer steps per iteration."""
        return self.epochs * self.batch // self.minibatch
