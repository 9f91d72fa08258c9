"""PufferLib: https://github.com/PufferAI/PufferLib, its own trainer ``PuffeRL``.

A Gymnasium CartPole, one process (``Serial``), Adam, no annealing, no prioritisation, no clipping
of the value. What cannot be set equal: a minibatch is two whole segments of 128 steps drawn with
replacement over the updates, the advantage is computed anew before each of them, and a truncation
counts as no end at all in the advantage. The dashboard is off.
"""

import shutil
from importlib.metadata import version as installed_version
from typing import Any

import gymnasium
import pufferlib.emulation
import pufferlib.vector
import torch
from pufferlib import EpisodeStats
from pufferlib.pufferl import PuffeRL
from torch import nn

from peers.measure import Stopwatch
from peers.settings import Settings


def version() -> str:
    return installed_version("pufferlib")


class Policy(nn.Module):
    """The policy and the value, in the form that PuffeRL asks for."""

    def __init__(self, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.policy, self.value = self._make_mlp(hidden, 2), self._make_mlp(hidden, 1)

    @staticmethod
    def _make_mlp(hidden: tuple[int, int], outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(4, hidden[0]),
            nn.Tanh(),
            nn.Linear(hidden[0], hidden[1]),
            nn.Tanh(),
            nn.Linear(hidden[1], outputs),
        )

    def forward_eval(self, observations: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """Logits and value, when acting."""
        return self.policy(observations), self.value(observations)

    def forward(self, observations: torch.Tensor, state: Any = None) -> tuple[Any, Any]:
        """Logits and value, when learning."""
        return self.forward_eval(observations, state)


def make_config(settings: Settings) -> dict[str, Any]:
    return {
        "seed": settings.seed,
        "env": settings.env_id,
        "torch_deterministic": True,
        "device": "cpu",
        "cpu_offload": False,
        "precision": "float32",
        "compile": False,
        "use_rnn": False,
        "total_timesteps": 10 * settings.total,  # so that no checkpoint is written at the end
        "checkpoint_interval": 1_000_000,
        "data_dir": "experiments",
        "batch_size": settings.batch,
        "bptt_horizon": settings.rollout,
        "minibatch_size": settings.minibatch,
        "max_minibatch_size": settings.minibatch,
        "update_epochs": settings.epochs,
        "optimizer": "adam",
        "learning_rate": settings.learning_rate,
        "anneal_lr": False,
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_eps": settings.adam_eps,
        "gamma": settings.discount,
        "gae_lambda": settings.gae_lambda,
        "clip_coef": settings.ratio_clip,
        "vf_coef": settings.value_coeff,
        "vf_clip_coef": 1e6,
        "ent_coef": settings.entropy_coeff,
        "max_grad_norm": settings.max_grad_norm,
        "prio_alpha": 0.0,
        "prio_beta0": 0.0,
        "vtrace_rho_clip": 1e6,
        "vtrace_c_clip": 1e6,
    }


def make_env(env_id: str, buf: Any = None, seed: int = 0) -> Any:
    env = EpisodeStats(gymnasium.make(env_id, disable_env_checker=True))
    return pufferlib.emulation.GymnasiumPufferEnv(env=env, buf=buf, seed=seed)


def train(settings: Settings, watch: Stopwatch) -> None:
    torch.manual_seed(settings.seed)
    envs = pufferlib.vector.make(
        make_env,
        env_args=[settings.env_id],
        backend=pufferlib.vector.Serial,
        num_envs=settings.num_envs,
        seed=settings.seed,
    )
    trainer = PuffeRL(make_config(settings), envs, Policy(settings.hidden))
    trainer.print_dashboard = lambda: None
    returns: list[float] = []
    while trainer.global_step < settings.total:
        trainer.evaluate()
        returns = trainer.stats.get("episode_return", returns)
        trainer.train()
        watch.tick(trainer.global_step)
    watch.final_return = float(sum(returns[-100:]) / len(returns[-100:])) if returns else None
    trainer.close()
    shutil.rmtree("experiments", ignore_errors=True)
