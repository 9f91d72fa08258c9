"""What ours has in common on Pong: environments and samplers."""

from peers.pong.settings import DqnSettings, PpoSettings
from rlpyt.envs.atari import AtariConfig
from rlpyt.envs.build import EnvConfig
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.cpu import CpuSampler
from rlpyt.samplers.serial import SerialSampler

__all__ = ["make_sampler"]


def make_sampler(settings: PpoSettings | DqnSettings, batch_T: int) -> BaseSampler:
    """Over ale-py's vector environment: in this process, or in workers in variant "cpu"."""
    atari = AtariConfig(repeat_action_probability=0.0, reward_clip=None, noop_max=30)
    in_workers = settings.variant == "cpu"
    threads = 1 if in_workers else settings.env_threads
    env = EnvConfig(id="ALE/Pong-v5", atari=atari, kwargs={"num_threads": threads})
    B = settings.num_envs
    if in_workers:
        return CpuSampler(env=env, batch_T=batch_T, batch_B=B, n_workers=settings.env_threads)
    return SerialSampler(env=env, batch_T=batch_T, batch_B=B)
