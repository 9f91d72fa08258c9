"""skrl: https://github.com/Toni-SM/skrl.

Its Gymnasium wrapper takes a vector environment: the synchronous one, or Gymnasium's vectorised
CartPole in the variant "native". Both reset in a step of their own, which skrl counts and learns
from. Advantages are normalised once per iteration instead of per minibatch. Writing of
TensorBoard files and checkpoints is off. Its Adam takes no ``eps``: it is set on the optimizer.
"""

from importlib.metadata import version as installed_version
from typing import Any

import gymnasium
import torch
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer, SequentialTrainerCfg
from skrl.utils import set_seed
from torch import nn

from peers.measure import Stopwatch
from peers.settings import Settings


def version() -> str:
    return installed_version("skrl")


def make_mlp(inputs: int, hidden: tuple[int, int], outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden[0]),
        nn.Tanh(),
        nn.Linear(hidden[0], hidden[1]),
        nn.Tanh(),
        nn.Linear(hidden[1], outputs),
    )


class Policy(CategoricalMixin, Model):
    """The policy, in the form that skrl asks for."""

    def __init__(self, spaces: dict[str, Any], hidden: tuple[int, int]) -> None:
        Model.__init__(self, **spaces)
        CategoricalMixin.__init__(self)
        self.net = make_mlp(self.num_observations, hidden, self.num_actions)

    def compute(self, inputs: dict[str, Any], role: str) -> tuple[torch.Tensor, dict[str, Any]]:
        """Output of the network."""
        return self.net(inputs["observations"]), {}


class Value(DeterministicMixin, Model):
    """The value, in the form that skrl asks for."""

    def __init__(self, spaces: dict[str, Any], hidden: tuple[int, int]) -> None:
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.net = make_mlp(self.num_observations, hidden, 1)

    def compute(self, inputs: dict[str, Any], role: str) -> tuple[torch.Tensor, dict[str, Any]]:
        """Output of the network."""
        return self.net(inputs["observations"]), {}


def make_config(settings: Settings) -> PPO_CFG:
    return PPO_CFG(
        rollouts=settings.rollout,
        learning_epochs=settings.epochs,
        mini_batches=settings.batch // settings.minibatch,
        discount_factor=settings.discount,
        gae_lambda=settings.gae_lambda,
        learning_rate=settings.learning_rate,
        grad_norm_clip=settings.max_grad_norm,
        ratio_clip=settings.ratio_clip,
        value_clip=0.0,
        entropy_loss_scale=settings.entropy_coeff,
        value_loss_scale=settings.value_coeff,
        kl_threshold=0.0,
        time_limit_bootstrap=True,
        experiment={"write_interval": 0, "checkpoint_interval": 0},
    )


def train(settings: Settings, watch: Stopwatch) -> None:
    set_seed(settings.seed)
    if settings.variant == "native":
        vector = gymnasium.make_vec(
            settings.env_id, settings.num_envs, vectorization_mode="vector_entry_point"
        )
    else:
        vector = gymnasium.make_vec(
            settings.env_id, settings.num_envs, vectorization_mode="sync", disable_env_checker=True
        )
    env = wrap_env(vector, wrapper="gymnasium", verbose=False)
    spaces = {
        "observation_space": env.observation_space,
        "action_space": env.action_space,
        "device": "cpu",
    }
    agent = PPO(
        models={
            "policy": Policy(spaces, settings.hidden),
            "value": Value(spaces, settings.hidden),
        },
        memory=RandomMemory(memory_size=settings.rollout, num_envs=settings.num_envs, device="cpu"),
        cfg=make_config(settings),
        **spaces,
    )
    for group in agent.optimizer.param_groups:
        group["eps"] = settings.adam_eps
    trainer_config = SequentialTrainerCfg(
        timesteps=settings.first // settings.num_envs, headless=True, disable_progressbar=True
    )
    trainer = SequentialTrainer(env=env, agents=agent, cfg=trainer_config)
    trainer.train()
    watch.tick(settings.first)
    trainer_config.timesteps = (settings.total - settings.first) // settings.num_envs
    trainer.train()
    watch.tick(settings.total)
