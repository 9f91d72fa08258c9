"""PPO in a single file, in the style of CleanRL.

Written for this comparison from the algorithm's description. CleanRL is no library that could be
installed and called, so this stands in for it: plain PyTorch, a vector environment of Gymnasium
with episode statistics, ``torch.distributions``, a GAE loop over time, and after each iteration
the usual scalars. As there, a truncation is an end (no bootstrap) and an environment resets in a
step of its own, which is counted and learnt from. Variant "native": Gymnasium's vectorised
CartPole.
"""

import gymnasium
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from torch import Tensor, nn
from torch.distributions import Categorical

from peers.measure import Stopwatch
from peers.settings import Settings


def version() -> str:
    return f"torch {torch.__version__}"


def make_layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Agent(nn.Module):
    """Separate networks for the policy and the value."""

    def __init__(self, inputs: int, hidden: tuple[int, int], actions: int) -> None:
        super().__init__()
        self.actor, self.critic = (
            nn.Sequential(
                make_layer(inputs, hidden[0]),
                nn.Tanh(),
                make_layer(hidden[0], hidden[1]),
                nn.Tanh(),
                make_layer(hidden[1], outputs, gain),
            )
            for outputs, gain in ((actions, 0.01), (1, 1.0))
        )

    def forward(self, obs: Tensor, action: Tensor | None = None) -> tuple[Tensor, ...]:
        """Action, its log probability, entropy and value."""
        distribution = Categorical(logits=self.actor(obs))
        if action is None:
            action = distribution.sample()
        log_prob, entropy = distribution.log_prob(action), distribution.entropy()
        return action, log_prob, entropy, self.critic(obs).flatten()


class Rollout:
    """Storage of one iteration, [T, B, ...]."""

    def __init__(self, settings: Settings, obs_shape: tuple[int, ...]) -> None:
        shape = (settings.rollout, settings.num_envs)
        self.obs = torch.zeros((*shape, *obs_shape))
        self.actions = torch.zeros(shape, dtype=torch.long)
        self.log_probs, self.rewards, self.dones, self.values = (
            torch.zeros(shape) for _ in range(4)
        )
        self.next_obs = torch.zeros(())
        self.next_done = torch.zeros(settings.num_envs)


def make_envs(settings: Settings) -> VectorEnv:
    if settings.variant == "native":
        envs = gymnasium.make_vec(
            settings.env_id, settings.num_envs, vectorization_mode="vector_entry_point"
        )
    else:
        envs = gymnasium.make_vec(
            settings.env_id, settings.num_envs, vectorization_mode="sync", disable_env_checker=True
        )
    return RecordEpisodeStatistics(envs)


def collect(agent: Agent, envs: VectorEnv, rollout: Rollout, returns: list[float]) -> None:
    for t in range(rollout.obs.shape[0]):
        rollout.obs[t], rollout.dones[t] = rollout.next_obs, rollout.next_done
        with torch.no_grad():
            action, log_prob, _, value = agent(rollout.next_obs)
        rollout.actions[t], rollout.log_probs[t], rollout.values[t] = action, log_prob, value
        obs, reward, terminated, truncated, info = envs.step(action.numpy())
        rollout.rewards[t] = torch.as_tensor(reward, dtype=torch.float32)
        rollout.next_obs = torch.as_tensor(obs)
        rollout.next_done = torch.as_tensor(terminated | truncated, dtype=torch.float32)
        if "episode" in info:
            returns.extend(info["episode"]["r"][info["_episode"]].tolist())


def advantages_of(agent: Agent, rollout: Rollout, settings: Settings) -> Tensor:
    advantages = torch.zeros_like(rollout.rewards)
    with torch.no_grad():
        next_value = agent.critic(rollout.next_obs).flatten()
    running = torch.zeros_like(next_value)
    next_going = 1.0 - rollout.next_done
    for t in reversed(range(rollout.rewards.shape[0])):
        delta = rollout.rewards[t] + settings.discount * next_value * next_going - rollout.values[t]
        running = delta + settings.discount * settings.gae_lambda * next_going * running
        advantages[t] = running
        next_value, next_going = rollout.values[t], 1.0 - rollout.dones[t]
    return advantages


def update(
    agent: Agent,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, Tensor],
    settings: Settings,
) -> tuple[Tensor, ...]:
    _, log_prob, entropy, value = agent(batch["obs"], batch["action"])
    log_ratio = log_prob - batch["log_prob"]
    ratio = log_ratio.exp()
    with torch.no_grad():
        approx_kl = ((ratio - 1) - log_ratio).mean()
        clip_fraction = ((ratio - 1.0).abs() > settings.ratio_clip).float().mean()
    advantage = batch["advantage"]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = torch.clamp(ratio, 1 - settings.ratio_clip, 1 + settings.ratio_clip)
    policy_loss = torch.max(-advantage * ratio, -advantage * clipped).mean()
    value_loss = 0.5 * ((value - batch["return"]) ** 2).mean()
    mean_entropy = entropy.mean()
    loss = policy_loss - settings.entropy_coeff * mean_entropy + settings.value_coeff * value_loss
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(agent.parameters(), settings.max_grad_norm)
    optimizer.step()
    return policy_loss, value_loss, mean_entropy, approx_kl, clip_fraction


def learn(
    agent: Agent,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    settings: Settings,
    rng: np.random.Generator,
) -> list[float]:
    """One iteration's updates; returns the scalars that would be logged."""
    advantages = advantages_of(agent, rollout, settings)
    flat = {
        "obs": rollout.obs.flatten(0, 1),
        "action": rollout.actions.flatten(),
        "log_prob": rollout.log_probs.flatten(),
        "advantage": advantages.flatten(),
        "return": (advantages + rollout.values).flatten(),
    }
    order = np.arange(settings.batch)
    clip_fractions, scalars = [], ()
    for _ in range(settings.epochs):
        rng.shuffle(order)
        for start in range(0, settings.batch, settings.minibatch):
            index = order[start : start + settings.minibatch]
            scalars = update(agent, optimizer, {k: v[index] for k, v in flat.items()}, settings)
            clip_fractions.append(scalars[-1].item())
    predicted, target = rollout.values.flatten().numpy(), flat["return"].numpy()
    unexplained = np.var(target - predicted) / max(np.var(target), 1e-8)
    return [*(s.item() for s in scalars), float(np.mean(clip_fractions)), 1.0 - unexplained]


def train(settings: Settings, watch: Stopwatch) -> None:
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    envs = make_envs(settings)
    obs_shape = envs.single_observation_space.shape
    agent = Agent(obs_shape[0], settings.hidden, int(envs.single_action_space.n))
    optimizer = torch.optim.Adam(
        agent.parameters(), lr=settings.learning_rate, eps=settings.adam_eps
    )
    rollout, returns = Rollout(settings, obs_shape), []
    rollout.next_obs = torch.as_tensor(envs.reset(seed=settings.seed)[0])
    history: list[list[float]] = []
    for iteration in range(1, settings.total // settings.batch + 1):
        collect(agent, envs, rollout, returns)
        history.append(learn(agent, optimizer, rollout, settings, rng))
        watch.tick(iteration * settings.batch)
    watch.final_return = float(np.mean(returns[-100:]))
