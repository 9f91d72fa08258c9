"""SAC on HalfCheetah in a single file, in the style of CleanRL's sac_continuous_action.

Written for this comparison from the algorithm's description. As there: two critics that are modules
of their own, one Adam over both, one for the policy and one for the temperature, whose step looks
at the policy once more, and a replay in numpy that takes a truncation for no end.

Three settings are not as there: the critics' learning rate (there 1e-3), the number of random steps
(there 5000), and how often the policy learns. There it is two steps of policy and temperature after
every second environment step; here, as in all others, one after each: the same work for a step.
"""

from itertools import chain

import gymnasium
import numpy as np
import torch
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from torch import Tensor, nn
from torch.nn import functional

from peers.halfcheetah.settings import SacSettings
from peers.measure import Stopwatch

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


def version() -> str:
    return f"torch {torch.__version__}"


class SoftQNetwork(nn.Module):
    """One critic."""

    def __init__(self, obs_size: int, action_size: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.fc1 = nn.Linear(obs_size + action_size, hidden[0])
        self.fc2 = nn.Linear(hidden[0], hidden[1])
        self.fc3 = nn.Linear(hidden[1], 1)

    def forward(self, x: Tensor, a: Tensor) -> Tensor:
        """Q of each transition, [N, 1]."""
        x = functional.relu(self.fc1(torch.cat([x, a], 1)))
        return self.fc3(functional.relu(self.fc2(x)))


class Actor(nn.Module):
    """The policy, with a layer for the mean and one for the logarithm of the deviation."""

    def __init__(self, obs_size: int, space: gymnasium.spaces.Box, hidden: tuple[int, int]) -> None:
        super().__init__()
        action_size = int(np.prod(space.shape))
        self.fc1 = nn.Linear(obs_size, hidden[0])
        self.fc2 = nn.Linear(hidden[0], hidden[1])
        self.fc_mean = nn.Linear(hidden[1], action_size)
        self.fc_logstd = nn.Linear(hidden[1], action_size)
        scale, bias = (space.high - space.low) / 2.0, (space.high + space.low) / 2.0
        self.register_buffer("action_scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("action_bias", torch.tensor(bias, dtype=torch.float32))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the deviation."""
        x = functional.relu(self.fc2(functional.relu(self.fc1(x))))
        log_std = torch.tanh(self.fc_logstd(x))
        log_std = LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (log_std + 1)
        return self.fc_mean(x), log_std

    def get_action(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """An action and its log-probability, [N, 1]."""
        mean, log_std = self(x)
        normal = torch.distributions.Normal(mean, log_std.exp())
        x_t = normal.rsample()
        y_t = torch.tanh(x_t)
        log_prob = normal.log_prob(x_t) - torch.log(self.action_scale * (1 - y_t.pow(2)) + 1e-6)
        return y_t * self.action_scale + self.action_bias, log_prob.sum(1, keepdim=True)


class Replay:
    """A ring of transitions."""

    def __init__(self, size: int, obs_size: int, action_size: int) -> None:
        self.observations = np.zeros((size, obs_size), np.float32)
        self.next_observations = np.zeros((size, obs_size), np.float32)
        self.actions = np.zeros((size, action_size), np.float32)
        self.rewards = np.zeros((size, 1), np.float32)
        self.dones = np.zeros((size, 1), np.float32)
        self.size, self.at, self.full = size, 0, False

    def add(
        self,
        obs: np.ndarray,
        next_obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
    ) -> None:
        """One transition, each with a leading dimension of 1."""
        at = self.at
        self.observations[at], self.next_observations[at] = obs[0], next_obs[0]
        self.actions[at], self.rewards[at], self.dones[at] = action[0], reward[0], done[0]
        self.at = (at + 1) % self.size
        self.full |= self.at == 0

    def sample(self, n: int) -> tuple[Tensor, ...]:
        """Observation, next observation, action, reward and end of ``n`` transitions."""
        rows = np.random.randint(0, self.size if self.full else self.at, size=n)
        arrays = (
            self.observations,
            self.next_observations,
            self.actions,
            self.rewards,
            self.dones,
        )
        return tuple(torch.from_numpy(array[rows]) for array in arrays)


class Learner:
    """Networks, optimizers and an update of all of them."""

    def __init__(self, obs_size: int, space: gymnasium.spaces.Box, settings: SacSettings) -> None:
        action_size = int(np.prod(space.shape))
        self.settings = settings
        self.actor = Actor(obs_size, space, settings.hidden)

        def make_critic() -> SoftQNetwork:
            return SoftQNetwork(obs_size, action_size, settings.hidden)

        self.qf1, self.qf2 = make_critic(), make_critic()
        self.qf1_target, self.qf2_target = make_critic(), make_critic()
        self.qf1_target.load_state_dict(self.qf1.state_dict())
        self.qf2_target.load_state_dict(self.qf2.state_dict())
        rate = settings.learning_rate
        critics = chain(self.qf1.parameters(), self.qf2.parameters())
        self.q_optimizer = torch.optim.Adam(list(critics), lr=rate)
        self.actor_optimizer = torch.optim.Adam(list(self.actor.parameters()), lr=rate)
        self.target_entropy = -float(action_size)
        self.log_alpha = torch.zeros(1, requires_grad=True)
        self.alpha = self.log_alpha.exp().item()
        self.a_optimizer = torch.optim.Adam([self.log_alpha], lr=rate)

    def update(self, replay: Replay) -> tuple[Tensor, Tensor]:
        """One step of critics, policy, temperature and targets; losses of critics and policy."""
        obs, next_obs, action, reward, done = replay.sample(self.settings.minibatch)
        q_loss = self.update_critics(obs, next_obs, action, reward, done)
        actor_loss = self.update_actor(obs)
        tau = self.settings.tau
        for fast, slow in ((self.qf1, self.qf1_target), (self.qf2, self.qf2_target)):
            for param, target in zip(fast.parameters(), slow.parameters(), strict=True):
                target.data.copy_(tau * param.data + (1 - tau) * target.data)
        return q_loss, actor_loss

    def update_critics(
        self, obs: Tensor, next_obs: Tensor, action: Tensor, reward: Tensor, done: Tensor
    ) -> Tensor:
        """One step of both critics."""
        with torch.no_grad():
            next_action, next_log_pi = self.actor.get_action(next_obs)
            next_q = torch.min(
                self.qf1_target(next_obs, next_action), self.qf2_target(next_obs, next_action)
            )
            next_value = next_q - self.alpha * next_log_pi
            wanted = (reward + (1 - done) * self.settings.discount * next_value).view(-1)
        q_loss = functional.mse_loss(self.qf1(obs, action).view(-1), wanted)
        q_loss = q_loss + functional.mse_loss(self.qf2(obs, action).view(-1), wanted)
        self.q_optimizer.zero_grad()
        q_loss.backward()
        self.q_optimizer.step()
        return q_loss

    def update_actor(self, obs: Tensor) -> Tensor:
        """One step of policy and temperature."""
        pi, log_pi = self.actor.get_action(obs)
        min_q = torch.min(self.qf1(obs, pi), self.qf2(obs, pi))
        actor_loss = (self.alpha * log_pi - min_q).mean()
        self.actor_optimizer.zero_grad()
        actor_loss.backward()
        self.actor_optimizer.step()
        with torch.no_grad():
            _pi, log_pi = self.actor.get_action(obs)
        alpha_loss = (-self.log_alpha.exp() * (log_pi + self.target_entropy)).mean()
        self.a_optimizer.zero_grad()
        alpha_loss.backward()
        self.a_optimizer.step()
        self.alpha = self.log_alpha.exp().item()
        return actor_loss


def train(settings: SacSettings, watch: Stopwatch) -> None:
    torch.manual_seed(settings.seed)
    np.random.seed(settings.seed)
    envs = RecordEpisodeStatistics(
        gymnasium.vector.SyncVectorEnv(
            [lambda: gymnasium.make(settings.env_id, disable_env_checker=True)],
            autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
        )
    )
    space = envs.single_action_space
    space.seed(settings.seed)
    obs_size = int(np.prod(envs.single_observation_space.shape))
    learner = Learner(obs_size, space, settings)
    replay = Replay(settings.replay_size, obs_size, int(np.prod(space.shape)))
    returns: list[float] = []
    history: list[tuple[float, float]] = []
    obs, _info = envs.reset(seed=settings.seed)
    obs = obs.astype(np.float32)
    for step in range(1, settings.total + 1):
        if step <= settings.learning_starts:
            action = space.sample()[None]
        else:
            action = learner.actor.get_action(torch.from_numpy(obs))[0].detach().numpy()
        next_obs, reward, terminated, truncated, info = envs.step(action)
        next_obs = true_next = next_obs.astype(np.float32)
        if truncated[0] or terminated[0]:
            true_next = info["final_obs"][0].astype(np.float32)[None]
            returns.extend(info["episode"]["r"].tolist() if "episode" in info else [])
        replay.add(obs, true_next, action, reward, terminated)
        obs = next_obs
        if step > settings.learning_starts:
            q_loss, actor_loss = learner.update(replay)
            if step % 100 == 0:
                history.append((q_loss.item(), actor_loss.item()))
        watch.tick(step)
    watch.final_return = float(np.mean(returns[-100:])) if returns else None
