"""The settings of the two benchmarks on Pong, the same for all implementations.

Fields have the names of :class:`peers.settings.Settings`, so that what is written for CartPole
reads both.
"""

from dataclasses import dataclass

from peers.settings import Run

__all__ = ["DqnSettings", "PpoSettings"]


@dataclass(frozen=True, kw_only=True)
class PpoSettings(Run):
    """PPO on Pong, with the settings of CleanRL's and Stable-Baselines3's Atari runs."""

    env_threads: int = 2  # of the vector environments that step by threads; or worker processes
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
class DqnSettings(Run):
    """DQN on Pong, with the settings of CleanRL's Atari runs but for epsilon and the replay."""

    env_threads: int = 2  # of the vector environments that step by threads; or worker processes
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
