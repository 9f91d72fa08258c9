"""Stable-Baselines3: https://github.com/DLR-RM/stable-baselines3.

Environments in a ``DummyVecEnv`` (its fastest for cheap environments), truncations bootstrapped.
"""

from importlib.metadata import version as installed_version

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

from peers.measure import Stopwatch
from peers.sb3_learning import learn_twice
from peers.settings import Settings


def version() -> str:
    return installed_version("stable-baselines3")


def train(settings: Settings, watch: Stopwatch) -> None:
    envs = make_vec_env(
        settings.env_id,
        n_envs=settings.num_envs,
        seed=settings.seed,
        env_kwargs={"disable_env_checker": True},
    )
    hidden = list(settings.hidden)
    model = PPO(
        "MlpPolicy",
        envs,
        learning_rate=settings.learning_rate,
        n_steps=settings.rollout,
        batch_size=settings.minibatch,
        n_epochs=settings.epochs,
        gamma=settings.discount,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.ratio_clip,
        ent_coef=settings.entropy_coeff,
        vf_coef=settings.value_coeff,
        max_grad_norm=settings.max_grad_norm,
        policy_kwargs={
            "net_arch": {"pi": hidden, "vf": hidden},
            "activation_fn": nn.Tanh,
            "optimizer_kwargs": {"eps": settings.adam_eps},
        },
        seed=settings.seed,
        device="cpu",
        verbose=0,
    )
    learn_twice(model, settings, watch)
