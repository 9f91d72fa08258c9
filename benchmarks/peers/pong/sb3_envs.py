"""Pong in the vector environments of Stable-Baselines3."""

from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from peers.pong.settings import DqnSettings, PpoSettings
from peers.sampling.environments import pong

__all__ = ["make_envs"]


def make_envs(settings: PpoSettings | DqnSettings, num_envs: int) -> VecEnv:
    """Each with a monitor; in a loop, or in processes of their own in variant "subproc"."""
    cls = SubprocVecEnv if settings.variant == "subproc" else DummyVecEnv
    return make_vec_env(pong, n_envs=num_envs, seed=settings.seed, vec_env_cls=cls)
