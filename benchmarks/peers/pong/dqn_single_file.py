"""DQN on Pong in a single file, in the style of CleanRL's dqn_atari.

Written for this comparison from the algorithm's description. As there: a random action is one
without a look at the network, the loss is the squared error, gradients are not clipped, a replay
in numpy keeps each observation once and takes a truncation for an end.

Variants: "gym-one", one environment, as there; "ale-four" and "pool-four", four at a time, each
with a random action of its own. Where all four are random, the network is not looked at.
"""

import random

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.measure import Stopwatch
from peers.pong.environments import make_vector
from peers.pong.settings import DqnSettings


def version() -> str:
    return f"torch {torch.__version__}"


class QNetwork(nn.Module):
    """The Nature CNN, with torch's own initialisation."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(4, 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(3136, 512),
            nn.ReLU(),
            nn.Linear(512, actions),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Action values."""
        return self.network(x / 255.0)


class Replay:
    """A ring of steps of all environments; the next observation is the next row's."""

    def __init__(self, settings: DqnSettings, num_envs: int, seed: int) -> None:
        rows = settings.replay_size // num_envs
        self.observations = np.zeros((rows, num_envs, 4, 84, 84), np.uint8)
        self.actions = np.zeros((rows, num_envs), np.int64)
        self.rewards = np.zeros((rows, num_envs), np.float32)
        self.dones = np.zeros((rows, num_envs), np.float32)
        self.rows, self.at, self.full = rows, 0, False
        self.rng = np.random.default_rng(seed)

    def add(self, obs: np.ndarray, next_obs: np.ndarray, *step: np.ndarray) -> None:
        """One step of all environments: action, reward, done."""
        at, following = self.at, (self.at + 1) % self.rows
        self.observations[at], self.observations[following] = obs, next_obs
        self.actions[at], self.rewards[at], self.dones[at] = step
        self.at = following
        self.full |= following == 0

    def sample(self, n: int) -> tuple[Tensor, ...]:
        """Observation, action, next observation, reward and done of ``n`` steps."""
        if self.full:  # not the row to be written next: what follows it is another time's
            rows = (self.rng.integers(1, self.rows, size=n) + self.at) % self.rows
        else:
            rows = self.rng.integers(0, self.at, size=n)
        columns = self.rng.integers(0, self.actions.shape[1], size=n)
        following = (rows + 1) % self.rows
        arrays = (
            self.observations[rows, columns],
            self.actions[rows, columns],
            self.observations[following, columns],
            self.rewards[rows, columns],
            self.dones[rows, columns],
        )
        return tuple(torch.from_numpy(array) for array in arrays)


def update(
    network: QNetwork,
    target: QNetwork,
    optimizer: torch.optim.Optimizer,
    replay: Replay,
    settings: DqnSettings,
) -> tuple[Tensor, Tensor]:
    obs, action, next_obs, reward, done = replay.sample(settings.minibatch)
    with torch.no_grad():
        wanted = reward + settings.discount * target(next_obs).max(dim=1).values * (1 - done)
    value = network(obs).gather(1, action[:, None]).squeeze()
    loss = functional.mse_loss(wanted, value)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss, value


def act(network: QNetwork, obs: np.ndarray, epsilon: float, actions: int) -> np.ndarray:
    is_random = [random.random() < epsilon for _ in obs]
    if all(is_random):
        return np.array([random.randrange(actions) for _ in obs])
    chosen = network(torch.as_tensor(obs)).argmax(dim=1).numpy()  # with gradients, as there
    for index in np.flatnonzero(is_random):
        chosen[index] = random.randrange(actions)
    return chosen


def train(settings: DqnSettings, watch: Stopwatch) -> None:
    torch.manual_seed(settings.seed)
    random.seed(settings.seed)
    n = settings.num_envs if settings.variant.endswith("four") else 1
    envs = make_vector(settings, n)
    actions = int(envs.single_action_space.n)
    network, target = QNetwork(actions), QNetwork(actions)
    target.load_state_dict(network.state_dict())
    optimizer = torch.optim.Adam(
        network.parameters(), lr=settings.learning_rate, eps=settings.adam_eps
    )
    replay, returns = Replay(settings, n, settings.seed), []
    history: list[tuple[float, float]] = []
    obs, _info = envs.reset(seed=settings.seed)
    for step in range(n, settings.total + 1, n):
        action = act(network, obs, settings.epsilon, actions)
        next_obs, reward, terminated, truncated, info = envs.step(action)
        if "episode" in info:
            returns.extend(info["episode"]["r"][info["_episode"]].tolist())
        replay.add(obs, next_obs, action, reward, terminated | truncated)
        obs = next_obs
        if step > settings.learning_starts and step % settings.train_every == 0:
            loss, value = update(network, target, optimizer, replay, settings)
            if step % 100 == 0:
                history.append((loss.item(), value.mean().item()))
        if step % settings.target_every == 0:
            target.load_state_dict(network.state_dict())
        watch.tick(step)
    watch.final_return = float(np.mean(returns[-100:])) if returns else None
