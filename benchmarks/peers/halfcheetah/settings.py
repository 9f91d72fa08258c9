"""The settings of the benchmark on HalfCheetah, the same for all implementations."""

from dataclasses import dataclass
from typing import Any

from peers.settings import Run

__all__ = ["SacSettings", "make_settings"]


@dataclass(frozen=True, kw_only=True)
class SacSettings(Run):
    """SAC on one HalfCheetah, with the settings of its paper."""

    env_id: str = "HalfCheetah-v5"
    hidden: tuple[int, int] = (256, 256)  # ReLU, of the policy and of each of two critics
    minibatch: int = 256  # transitions per update, one update per environment step
    replay_size: int = 1_000_000
    learning_starts: int = 1_000  # environment steps, with random actions
    learning_rate: float = 3e-4  # Adam, of all three optimizers
    discount: float = 0.99
    tau: float = 0.005  # of the target critics, moved after every update

    @property
    def batch(self) -> int:
        """Environment steps per iteration: one."""
        return 1

    def words(self) -> str:
        """The settings in words."""
        return (
            f"{self.env_id}, one environment, an update of critics, policy and temperature with "
            f"{self.minibatch} transitions after every step, ReLU networks {self.hidden}, 2 "
            f"critics, Adam {self.learning_rate}, discount {self.discount}, tau {self.tau}, replay "
            f"of {self.replay_size:,} transitions"
        )


def make_settings(_module_name: str, options: dict[str, Any]) -> SacSettings:
    """The settings from what JSON keeps of them."""
    return SacSettings(**{**options, "hidden": tuple(options["hidden"])})
