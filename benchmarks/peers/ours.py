"""Ours: ``SerialSampler`` and ``MinibatchRl``, truncations bootstrapped.

Variants: "compile" has a compiled update, "compile-native" Gymnasium's vectorised CartPole too. The
stopwatch is told at the end of each ``optimize_agent``, so that between two ticks lie whole
iterations: sampling, learning and the runner's own bookkeeping.
"""

import tomllib
from collections import deque
from pathlib import Path
from typing import Any

from peers.measure import Stopwatch
from peers.settings import Settings
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.ppo import PPO
from rlpyt.envs.build import EnvConfig
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

ROOT = Path(__file__).resolve().parents[2]


def version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def make_algo(settings: Settings) -> PPO:
    return PPO(
        learning_rate=settings.learning_rate,
        discount=settings.discount,
        gae_lambda=settings.gae_lambda,
        epochs=settings.epochs,
        minibatches=settings.batch // settings.minibatch,
        ratio_clip=settings.ratio_clip,
        value_loss_coeff=settings.value_coeff,
        entropy_loss_coeff=settings.entropy_coeff,
        clip_grad_norm=settings.max_grad_norm,
        optim_kwargs={"eps": settings.adam_eps},
        compile="compile" in settings.variant,
    )


def train(settings: Settings, watch: Stopwatch) -> None:
    algo = make_algo(settings)
    native = "native" in settings.variant
    env = EnvConfig(id=settings.env_id, vectorization="native" if native else "loop")
    sampler = SerialSampler(env=env, batch_T=settings.rollout, batch_B=settings.num_envs)
    runner = MinibatchRl(
        algo=algo,
        agent=PgAgent(),
        sampler=sampler,
        n_steps=settings.total,
        log_interval_steps=10_000,  # as in a run of half a million steps, not of this short one
        seed=settings.seed,
        device="cpu",
        torch_threads=settings.threads,
    )
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
    watch.final_return = sum(returns) / len(returns)
