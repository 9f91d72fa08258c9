"""Stable-Baselines3's SAC on HalfCheetah: https://github.com/DLR-RM/stable-baselines3."""

from importlib.metadata import version as installed_version

from stable_baselines3 import SAC
from stable_baselines3.common.env_util import make_vec_env

from peers.halfcheetah.settings import SacSettings
from peers.measure import Stopwatch
from peers.sb3_learning import learn_twice


def version() -> str:
    return installed_version("stable-baselines3")


def train(settings: SacSettings, watch: Stopwatch) -> None:
    envs = make_vec_env(
        settings.env_id, seed=settings.seed, env_kwargs={"disable_env_checker": True}
    )
    model = SAC(
        "MlpPolicy",
        envs,
        learning_rate=settings.learning_rate,
        buffer_size=settings.replay_size,
        learning_starts=settings.learning_starts,
        batch_size=settings.minibatch,
        tau=settings.tau,
        gamma=settings.discount,
        train_freq=1,
        gradient_steps=1,
        ent_coef="auto",
        policy_kwargs={"net_arch": list(settings.hidden), "n_critics": 2},
        seed=settings.seed,
        device="cpu",
        verbose=0,
    )
    learn_twice(model, settings, watch)
    envs.close()
