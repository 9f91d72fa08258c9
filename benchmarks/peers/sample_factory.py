"""Sample Factory: https://github.com/alex-petrenko/sample-factory.

In its serial synchronous mode (one process, like the others here), normalisation of inputs and
returns off, truncations bootstrapped with its own approximation (the value of the last
observation but one). It installs with Gymnasium 0.29 and numpy 1.26 only. Its summaries go to a
temporary folder.
"""

import logging
from importlib.metadata import version as installed_version
from typing import Any

import gymnasium
import torch
from sample_factory.algo.runners.runner import AlgoObserver, Runner
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.envs.env_utils import register_env
from sample_factory.train import make_runner

from peers.measure import Stopwatch
from peers.settings import Settings


def version() -> str:
    return installed_version("sample-factory")


class Ticker(AlgoObserver):
    """Tells the stopwatch after every iteration."""

    def __init__(self, settings: Settings, watch: Stopwatch) -> None:
        self.settings, self.watch = settings, watch

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        """Called by the runner."""
        self.watch.tick(runner.env_steps.get(0, 0))


def make_env(
    name: str, config: Any, env_config: Any = None, render_mode: str | None = None
) -> gymnasium.Env:
    return gymnasium.make(name, disable_env_checker=True, render_mode=render_mode)


def make_arguments(settings: Settings) -> list[str]:
    options = {
        "env": settings.env_id,
        "experiment": "benchmark",
        "train_dir": "train_dir",
        "restart_behavior": "overwrite",
        "device": "cpu",
        "seed": settings.seed,
        "serial_mode": True,
        "async_rl": False,
        "num_workers": 1,
        "num_envs_per_worker": settings.num_envs,
        "worker_num_splits": 1,
        "rollout": settings.rollout,
        "batch_size": settings.minibatch,
        "num_batches_per_epoch": settings.batch // settings.minibatch,
        "num_epochs": settings.epochs,
        "shuffle_minibatches": True,
        "recurrence": 1,
        "use_rnn": False,
        "actor_critic_share_weights": False,
        "nonlinearity": "tanh",
        "learning_rate": settings.learning_rate,
        "adam_eps": settings.adam_eps,
        "gamma": settings.discount,
        "gae_lambda": settings.gae_lambda,
        "value_bootstrap": True,
        "ppo_clip_ratio": settings.ratio_clip,
        "ppo_clip_value": 1e6,
        "exploration_loss_coeff": settings.entropy_coeff,
        "value_loss_coeff": settings.value_coeff,
        "max_grad_norm": settings.max_grad_norm,
        "normalize_input": False,
        "normalize_returns": False,
        "set_workers_cpu_affinity": False,
        "train_for_env_steps": settings.total,
        "log_to_file": False,
    }
    layers = ["--encoder_mlp_layers", *(str(size) for size in settings.hidden)]
    return [*(f"--{name}={value}" for name, value in options.items()), *layers]


def train(settings: Settings, watch: Stopwatch) -> None:
    logging.getLogger("rl").setLevel(logging.ERROR)
    register_env(settings.env_id, make_env)
    parser, _ = parse_sf_args(make_arguments(settings))
    _config, runner = make_runner(parse_full_cfg(parser, make_arguments(settings)))
    runner.register_observer(Ticker(settings, watch))
    runner.init()
    torch.set_num_threads(settings.threads)  # init chooses a number of its own
    runner.run()
    rewards = runner.policy_avg_stats.get("reward", [[]])[0]
    watch.final_return = float(sum(rewards) / len(rewards)) if rewards else None
