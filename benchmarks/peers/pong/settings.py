"""The settings of the two benchmarks on Pong, the same for all implementations.

Fields have the names of :class:`peers.settings.Settings`, so that what is written for CartPole
reads both.
"""

from dataclasses import dataclass

__all__ = ["DqnSettings", "PpoSettings"]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What is measured, and with what."""

    warmup_steps: int
    measured_steps: int
    threads: int = 1  # of torch
    env_threads: int = 2  # of the vector environments that step by threads; or worker processes
    seed: int = 0
    variant: str = ""

    @property
    def batch(self) -> int:
        """Environment steps per iteration."""
        raise NotImplementedError

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
class PpoSettings(_Run):
    """PPO on Pong, with the settings of CleanRL's and Stable-Baselines3's Atari runs."""

    num_envs: int = 8
    rollout: int = 128  # steps of each environment per iteration
    epochs: int = 4
    minibatch: int = 256  # samples per update
    learning_rate: float = 2.5e-4  # Adam, constant
    adam_eps: float = 1e-5
    discount: float = 0.99
    gae_lambda: float = 0.95
    ratio_clip: float = 0.1
    entropy_coeff: float = 0.01
    value_coeff: float = 0.5
    max_grad_norm: float = 0.5

    @property
    def batch(self) -> int:
        """Environment steps per iteration."""
        return self.num_envs * self.rollout

    def words(self) -> str:
        """The settings in words."""
        return (
            f"{self.num_envs} environments x {self.rollout} steps, {self.epochs} epochs x "
            f"{self.batch // self.minibatch} minibatches of {self.minibatch}, Nature CNN shared by "
            f"policy and value, Adam {self.learning_rate} (eps {self.adam_eps}), discount "
            f"{self.discount}, lambda {self.gae_lambda}, clip {self.ratio_clip}, entropy "
            f"{self.entropy_coeff}, value {self.value_coeff}, gradient {self.max_grad_norm}"
        )


@dataclass(frozen=True, kw_only=True)
class DqnSettings(_Run):
    """DQN on Pong, with the settings of CleanRL's Atari runs but for epsilon and the replay."""

    num_envs: int = 4  # of those that step more than one at a time
    train_every: int = 4  # environment steps between two updates
    minibatch: int = 32
    replay_size: int = 20_000
    learning_starts: int = 1_000  # environment steps
    learning_rate: float = 1e-4  # Adam
    adam_eps: float = 1e-8
    discount: float = 0.99
    target_every: int = 1_000  # environment steps
    epsilon: float = 0.1

    @property
    def batch(self) -> int:
        """Environment steps per iteration: up to an update."""
        return self.train_every

    def words(self) -> str:
        """The settings in words."""
        return (
            f"an update with {self.minibatch} transitions every {self.train_every} steps, "
            f"epsilon {self.epsilon}, Nature CNN, Adam {self.learning_rate}, discount "
            f"{self.discount}, target network every {self.target_every} steps, replay of "
            f"{self.replay_size:,} transitions"
        )
