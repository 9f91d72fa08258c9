"""A training run of Stable-Baselines3 with a stopwatch at the end of the warm-up and of the run."""

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from peers.measure import Stopwatch
from peers.settings import Run

__all__ = ["learn_twice"]


def learn_twice(model: BaseAlgorithm, settings: Run, watch: Stopwatch) -> None:
    """``model.learn`` up to either moment."""
    model.learn(settings.first)
    watch.tick(model.num_timesteps)
    model.learn(settings.total - settings.first, reset_num_timesteps=False)
    watch.tick(model.num_timesteps)
    episodes = list(model.ep_info_buffer or [])
    watch.final_return = (
        float(np.mean([episode["r"] for episode in episodes])) if episodes else None
    )
