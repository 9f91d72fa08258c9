"""TorchRL: https://github.com/pytorch/rl, in the form of its own PPO scripts.

A ``GymWrapper`` around Gymnasium's synchronous vector environment (faster than its ``SerialEnv``
when both were tried), ``Collector``, ``GAE`` once per iteration, ``ClipPPOLoss`` and a replay
buffer without replacement. No compilation. Truncations bootstrapped.
"""

from importlib.metadata import version as installed_version

import gymnasium
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tensordict.nn import TensorDictModule
from torch import nn
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, SamplerWithoutReplacement, TensorDictReplayBuffer
from torchrl.envs import EnvBase, ExplorationType, GymWrapper, RewardSum, TransformedEnv
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from peers.measure import Stopwatch
from peers.settings import Settings


def version() -> str:
    return installed_version("torchrl")


def make_mlp(hidden: tuple[int, int], outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, hidden[0]),
        nn.Tanh(),
        nn.Linear(hidden[0], hidden[1]),
        nn.Tanh(),
        nn.Linear(hidden[1], outputs),
    )


def make_env(settings: Settings) -> EnvBase:
    def make_one() -> gymnasium.Env:
        return gymnasium.make(settings.env_id, disable_env_checker=True)

    vector = SyncVectorEnv([make_one] * settings.num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    env = TransformedEnv(GymWrapper(vector, categorical_action_encoding=True), RewardSum())
    env.set_seed(settings.seed)
    return env


def make_loss(settings: Settings, env: EnvBase) -> ClipPPOLoss:
    actor = ProbabilisticActor(
        TensorDictModule(
            make_mlp(settings.hidden, 2), in_keys=["observation"], out_keys=["logits"]
        ),
        in_keys=["logits"],
        spec=env.full_action_spec_unbatched,
        distribution_class=Categorical,
        return_log_prob=True,
        default_interaction_type=ExplorationType.RANDOM,
    )
    critic = ValueOperator(make_mlp(settings.hidden, 1), in_keys=["observation"])
    return ClipPPOLoss(
        actor_network=actor,
        critic_network=critic,
        clip_epsilon=settings.ratio_clip,
        loss_critic_type="l2",
        entropy_coeff=settings.entropy_coeff,
        critic_coeff=settings.value_coeff,
        normalize_advantage=True,
    )


def update(
    loss: ClipPPOLoss,
    optimizer: torch.optim.Optimizer,
    minibatch: object,
    max_grad_norm: float,
) -> None:
    terms = loss(minibatch)
    total = terms["loss_objective"] + terms["loss_critic"] + terms["loss_entropy"]
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(loss.parameters(), max_grad_norm)
    optimizer.step()


def train(settings: Settings, watch: Stopwatch) -> None:
    torch.manual_seed(settings.seed)
    env = make_env(settings)
    loss = make_loss(settings, env)
    advantage = GAE(
        gamma=settings.discount,
        lmbda=settings.gae_lambda,
        value_network=loss.critic_network,
        average_gae=False,
    )
    optimizer = torch.optim.Adam(
        loss.parameters(), lr=settings.learning_rate, eps=settings.adam_eps
    )
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(settings.batch),
        sampler=SamplerWithoutReplacement(),
        batch_size=settings.minibatch,
    )
    collector = Collector(
        env, loss.actor_network, frames_per_batch=settings.batch, total_frames=settings.total
    )
    steps = 0
    for samples in collector:
        steps += samples.numel()
        finished = samples["next", "episode_reward"][samples["next", "done"]]
        if finished.numel():
            watch.final_return = finished.mean().item()
        with torch.no_grad():
            advantage(samples)
        buffer.empty()
        buffer.extend(samples.reshape(-1))
        for _ in range(settings.epochs):
            for minibatch in buffer:
                update(loss, optimizer, minibatch, settings.max_grad_norm)
        watch.tick(steps)
    collector.shutdown()
