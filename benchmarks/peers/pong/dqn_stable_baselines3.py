"""Stable-Baselines3's DQN on Pong: https://github.com/DLR-RM/stable-baselines3.

Variants: "one" environment and an update every 4 steps of it, as its own Atari settings; "four"
environments in a loop and an update for each step of the four. The replay has its mode of least
memory, in which an observation is kept once.
"""

from importlib.metadata import version as installed_version

from stable_baselines3 import DQN

from peers.measure import Stopwatch
from peers.pong.sb3_envs import make_envs
from peers.pong.settings import DqnSettings
from peers.sb3_learning import learn_twice


def version() -> str:
    return installed_version("stable-baselines3")


def train(settings: DqnSettings, watch: Stopwatch) -> None:
    n = settings.num_envs if settings.variant == "four" else 1
    envs = make_envs(settings, n)
    model = DQN(
        "CnnPolicy",
        envs,
        learning_rate=settings.learning_rate,
        buffer_size=settings.replay_size,
        learning_starts=settings.learning_starts,
        batch_size=settings.minibatch,
        gamma=settings.discount,
        train_freq=settings.train_every // n,
        gradient_steps=1,
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
        target_update_interval=settings.target_every,
        exploration_initial_eps=settings.epsilon,
        exploration_final_eps=settings.epsilon,
        policy_kwargs={"optimizer_kwargs": {"eps": settings.adam_eps}},
        seed=settings.seed,
        device="cpu",
        verbose=0,
    )
    learn_twice(model, settings, watch)
    envs.close()
