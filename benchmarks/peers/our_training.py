"""A training run of ours with a stopwatch at each iteration."""

from collections import deque
from typing import Any

from peers.measure import Stopwatch
from peers.settings import Run
from rlpyt.runners.minibatch_rl import MinibatchRl

__all__ = ["train_ticking"]


def train_ticking(runner: MinibatchRl, settings: Run, watch: Stopwatch) -> None:
    """``runner.train()``, the stopwatch told at the end of each ``optimize_agent``, so that between
    two ticks lie whole iterations: sampling, learning and the runner's own bookkeeping.
    """
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
