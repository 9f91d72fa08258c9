"""Tianshou's SAC on HalfCheetah: https://github.com/thu-ml/tianshou.

One environment in its ``DummyVectorEnv``, no test episodes, no logger.
"""

from importlib.metadata import version as installed_version

import gymnasium
import numpy as np
import torch
from tianshou.algorithm import SAC
from tianshou.algorithm.modelfree.sac import AutoAlpha, SACPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.continuous import ContinuousActorProbabilistic, ContinuousCritic

from peers.halfcheetah.settings import SacSettings
from peers.measure import Stopwatch


def version() -> str:
    return installed_version("tianshou")


def make_algorithm(settings: SacSettings, env: gymnasium.Env) -> SAC:
    obs_shape, action_shape = env.observation_space.shape, env.action_space.shape
    optim = AdamOptimizerFactory(lr=settings.learning_rate)
    trunk = Net(state_shape=obs_shape, hidden_sizes=settings.hidden)
    actor = ContinuousActorProbabilistic(
        preprocess_net=trunk, action_shape=action_shape, unbounded=True, conditioned_sigma=True
    )

    def make_critic() -> ContinuousCritic:
        net = Net(
            state_shape=obs_shape,
            action_shape=action_shape,
            hidden_sizes=settings.hidden,
            concat=True,
        )
        return ContinuousCritic(preprocess_net=net)

    target_entropy = -float(np.prod(action_shape))
    return SAC(
        policy=SACPolicy(actor=actor, action_space=env.action_space),
        policy_optim=optim,
        critic=make_critic(),
        critic_optim=optim,
        critic2=make_critic(),
        critic2_optim=optim,
        tau=settings.tau,
        gamma=settings.discount,
        alpha=AutoAlpha(target_entropy, 0.0, optim),
    )


def train(settings: SacSettings, watch: Stopwatch) -> None:
    torch.manual_seed(settings.seed)
    np.random.seed(settings.seed)

    def make_env() -> gymnasium.Env:
        return gymnasium.make(settings.env_id, disable_env_checker=True)

    envs = DummyVectorEnv([make_env])
    envs.seed(settings.seed)
    algorithm = make_algorithm(settings, make_env())
    collector = Collector(algorithm, envs, VectorReplayBuffer(settings.replay_size, 1))
    collector.reset()
    collector.collect(n_step=settings.learning_starts, random=True)

    def run(steps: int) -> None:
        algorithm.run_training(
            OffPolicyTrainerParams(
                training_collector=collector,
                max_epochs=1,
                epoch_num_steps=steps,
                collection_step_num_env_steps=1,
                batch_size=settings.minibatch,
                update_step_num_gradient_steps_per_sample=1.0,
                show_progress=False,
                verbose=False,
            )
        )

    run(settings.first - settings.learning_starts)
    watch.tick(settings.first)
    run(settings.total - settings.first)
    watch.tick(settings.total)
