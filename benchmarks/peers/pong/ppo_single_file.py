"""PPO on Pong in a single file, in the style of CleanRL's ppo_atari and ppo_atari_envpool.

Rollout, advantages and update are those of :mod:`peers.single_file`; here is the network, which
policy and value share. As there, observations are kept as float32 and divided by 255 in the
network.
Variants: see :func:`peers.pong.environments.make_vector`.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from peers.measure import Stopwatch
from peers.pong.environments import make_vector
from peers.pong.settings import PpoSettings
from peers.single_file import Rollout, collect, learn, make_layer


def version() -> str:
    return f"torch {torch.__version__}"


def make_convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, stride)
    nn.init.orthogonal_(layer.weight, 2**0.5)
    nn.init.zeros_(layer.bias)
    return layer


class Agent(nn.Module):
    """The Nature CNN with policy and value on top."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            make_convolution(4, 32, 8, 4),
            nn.ReLU(),
            make_convolution(32, 64, 4, 2),
            nn.ReLU(),
            make_convolution(64, 64, 3, 1),
            nn.ReLU(),
            nn.Flatten(),
            make_layer(64 * 7 * 7, 512),
            nn.ReLU(),
        )
        self.actor_head = make_layer(512, actions, 0.01)
        self.critic_head = make_layer(512, 1, 1.0)

    def critic(self, obs: Tensor) -> Tensor:
        """The value alone."""
        return self.critic_head(self.network(obs / 255.0))

    def forward(self, obs: Tensor, action: Tensor | None = None) -> tuple[Tensor, ...]:
        """Action, its log probability, entropy and value."""
        hidden = self.network(obs / 255.0)
        distribution = Categorical(logits=self.actor_head(hidden))
        if action is None:
            action = distribution.sample()
        log_prob, entropy = distribution.log_prob(action), distribution.entropy()
        return action, log_prob, entropy, self.critic_head(hidden).flatten()


def train(settings: PpoSettings, watch: Stopwatch) -> None:
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    envs = make_vector(settings, settings.num_envs)
    agent = Agent(int(envs.single_action_space.n))
    optimizer = torch.optim.Adam(
        agent.parameters(), lr=settings.learning_rate, eps=settings.adam_eps
    )
    rollout, returns = Rollout(settings, envs.single_observation_space.shape), []
    rollout.next_obs = torch.as_tensor(envs.reset(seed=settings.seed)[0])
    history: list[list[float]] = []
    for iteration in range(1, settings.total // settings.batch + 1):
        collect(agent, envs, rollout, returns)
        history.append(learn(agent, optimizer, rollout, settings, rng))
        watch.tick(iteration * settings.batch)
    watch.final_return = float(np.mean(returns[-100:])) if returns else None
