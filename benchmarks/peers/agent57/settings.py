"""The settings of the benchmark of Agent57, the same for both."""

from dataclasses import dataclass
from typing import Any

from peers.settings import Run

__all__ = ["FamilySettings", "make_settings"]


@dataclass(frozen=True, kw_only=True)
class FamilySettings(Run):
    """Agent57, small, on a task whose reward is hard to find, with episodes of 200 steps."""

    env_id: str = "MountainCar-v0"
    num_envs: int = 16  # ours; SRL has one
    rollout: int = 20  # steps of each environment per iteration, ours
    n_arms: int = 8
    sequence_length: int = 20
    minibatch: int = 32  # sequences
    replay_ratio: float = 16.0  # how often a step is learned from, on average
    replay_size: int = 100_000
    learning_starts: int = 2_000  # environment steps
    hidden: int = 64  # before the LSTM, of it, and of the dueling heads
    episodic_capacity: int = 256  # states of an episode that are remembered
    learning_rate: float = 1e-3

    @property
    def steps_per_update(self) -> int:
        """Steps of the environment."""
        return round(self.minibatch * self.sequence_length / self.replay_ratio)

    @property
    def batch(self) -> int:
        """Environment steps per iteration."""
        return self.num_envs * self.rollout

    def words(self) -> str:
        """The settings in words."""
        return (
            f"{self.env_id}, {self.n_arms} policies, an update with {self.minibatch} sequences of "
            f"{self.sequence_length} steps after every {self.steps_per_update} steps (replay ratio "
            f"{self.replay_ratio:g}), LSTM of {self.hidden}, episodic memory of "
            f"{self.episodic_capacity}"
        )


def make_settings(_module_name: str, options: dict[str, Any]) -> FamilySettings:
    """The settings from what JSON keeps of them."""
    return FamilySettings(**options)
