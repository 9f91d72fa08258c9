"""SRL's Agent57: https://github.com/pocokhc/simple_distributed_rl, with PyTorch."""

from importlib.metadata import version as installed_version
from typing import Any

import srl
import torch
from srl.algorithms import agent57
from srl.base.run.callback import RunCallback

from peers.agent57.settings import FamilySettings
from peers.measure import Stopwatch


def version() -> str:
    return installed_version("srl-framework")


class Ticking(RunCallback):
    """Tells the stopwatch after each step and the update that may follow it."""

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def on_step_end(self, context: Any, state: Any, **_: Any) -> bool:
        """One step, and the update that may follow it."""
        self.watch.tick(state.total_step)
        return False

    def on_episodes_end(self, context: Any, state: Any, **_: Any) -> None:
        """The end of training."""
        returns = [rewards[0] for rewards in state.episode_rewards_list[-100:]]
        self.watch.final_return = sum(returns) / len(returns) if returns else None
        self.watch.details["updates"] = state.train_count


def train(settings: FamilySettings, watch: Stopwatch) -> None:
    torch.set_num_threads(settings.threads)
    config = agent57.Config(
        batch_size=settings.minibatch,
        lstm_units=settings.hidden,
        lr_ext=settings.learning_rate,
        lr_int=settings.learning_rate,
        burnin=0,
        sequence_length=settings.sequence_length,
        actor_num=settings.n_arms,
        enable_rescale=True,
        episodic_memory_capacity=settings.episodic_capacity,
        input_int_reward=False,
        input_action=True,
    )
    config.set_torch()
    config.input_block.value.set((settings.hidden,))
    config.hidden_block.set_dueling_network((settings.hidden,))
    config.memory.capacity = settings.replay_size
    config.memory.warmup_size = settings.learning_starts
    config.memory.compress = False
    runner = srl.Runner(settings.env_id, config)
    runner.set_device("CPU")
    runner.set_seed(settings.seed)
    runner.train(
        max_steps=settings.total + 1,
        train_interval=settings.steps_per_update,
        enable_progress=False,
        callbacks=[Ticking(watch)],
    )
