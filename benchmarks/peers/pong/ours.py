"""What ours has in common on Pong: environments, samplers, and a stopwatch at each iteration."""

import tomllib
from collections import deque
from pathlib import Path
from typing import Any

from peers.measure import Stopwatch
from peers.pong.settings import DqnSettings, PpoSettings
from rlpyt.envs.atari import AtariConfig
from rlpyt.envs.build import EnvConfig
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.cpu import CpuSampler
from rlpyt.samplers.serial import SerialSampler

__all__ = ["make_sampler", "train_ticking", "version"]

ROOT = Path(__file__).resolve().parents[3]


def version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


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


def train_ticking(
    runner: MinibatchRl, settings: PpoSettings | DqnSettings, watch: Stopwatch
) -> None:
    """``runner.train()``, the stopwatch told at the end of each ``optimize_agent``."""
    algo, sampler = runner.algo, runner.sampler
    obtain_samples, optimize_agent = sampler.obtain_samples, algo.optimize_agent
    returns: deque[float] = deque(maxlen=100)

    def obtain_and_keep(itr: int) -> Any:
        samples, trajs = obtain_samples(itr)
        returns.extend(traj.Return for traj in trajs)
        return samples, trajs

    def optimize_and_tick(itr: int, samples: Any) -> Any:
        info = optimize_agent(itr, samples)
        watch.tick((itr + 1) * settings.batch)
        return info

    sampler.obtain_samples, algo.optimize_agent = obtain_and_keep, optimize_and_tick
    runner.train()
    watch.final_return = sum(returns) / len(returns) if returns else None
