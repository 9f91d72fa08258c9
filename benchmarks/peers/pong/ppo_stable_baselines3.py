"""Stable-Baselines3's PPO on Pong: https://github.com/DLR-RM/stable-baselines3.

Variants: "dummy" (a loop over environments), "subproc" (a process for each).
"""

from importlib.metadata import version as installed_version

from stable_baselines3 import PPO

from peers.measure import Stopwatch
from peers.pong.sb3_envs import make_envs
from peers.pong.settings import PpoSettings
from peers.sb3_learning import learn_twice


def version() -> str:
    return installed_version("stable-baselines3")


def train(settings: PpoSettings, watch: Stopwatch) -> None:
    envs = make_envs(settings, settings.num_envs)
    model = PPO(
        "CnnPolicy",
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
        policy_kwargs={"optimizer_kwargs": {"eps": settings.adam_eps}},
        seed=settings.seed,
        device="cpu",
        verbose=0,
    )
    learn_twice(model, settings, watch)
    envs.close()
