"""Tianshou: https://github.com/thu-ml/tianshou.

Environments in a ``DummyVectorEnv`` (its fastest for cheap environments), truncations
bootstrapped, no test episodes, no logger.
"""

from importlib.metadata import version as installed_version

import gymnasium
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic
from torch import nn

from peers.measure import Stopwatch
from peers.settings import Settings


def version() -> str:
    return installed_version("tianshou")


def make_algorithm(settings: Settings, env: gymnasium.Env) -> PPO:
    def make_trunk() -> Net:
        return Net(
            state_shape=env.observation_space.shape,
            hidden_sizes=settings.hidden,
            activation=nn.Tanh,
        )

    actor = DiscreteActor(
        preprocess_net=make_trunk(), action_shape=int(env.action_space.n), softmax_output=False
    )
    return PPO(
        policy=DiscreteActorPolicy(actor=actor, action_space=env.action_space),
        critic=DiscreteCritic(preprocess_net=make_trunk()),
        optim=AdamOptimizerFactory(lr=settings.learning_rate, eps=settings.adam_eps),
        eps_clip=settings.ratio_clip,
        vf_coef=settings.value_coeff,
        ent_coef=settings.entropy_coeff,
        max_grad_norm=settings.max_grad_norm,
        gae_lambda=settings.gae_lambda,
        gamma=settings.discount,
        max_batchsize=settings.minibatch,
        advantage_normalization=True,
    )


def train(settings: Settings, watch: Stopwatch) -> None:
    torch.manual_seed(settings.seed)

    def make_env() -> gymnasium.Env:
        return gymnasium.make(settings.env_id, disable_env_checker=True)

    envs = DummyVectorEnv([make_env] * settings.num_envs)
    envs.seed(settings.seed)
    algorithm = make_algorithm(settings, make_env())
    buffer = VectorReplayBuffer(settings.batch, settings.num_envs)
    collector = Collector(algorithm, envs, buffer)

    def run(steps: int) -> None:
        algorithm.run_training(
            OnPolicyTrainerParams(
                training_collector=collector,
                max_epochs=1,
                epoch_num_steps=steps,
                collection_step_num_env_steps=settings.batch,
                batch_size=settings.minibatch,
                update_step_num_repetitions=settings.epochs,
                show_progress=False,
                verbose=False,
            )
        )

    run(settings.first)
    watch.tick(settings.first)
    run(settings.total - settings.first)
    watch.tick(settings.total)
