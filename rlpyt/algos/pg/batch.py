"""From samples to what a policy-gradient loss takes: advantages, returns and normalised rewards;
shared by the algorithms.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, final

import torch
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.agents.pg import PgAgent
from rlpyt.data import AgentInputs, Samples
from rlpyt.models.normalize import RunningMeanStd
from rlpyt.ops.losses import normalize, valid_mean
from rlpyt.ops.returns import (
    generalized_advantage_estimation,
    next_values,
    reverse_linear_recurrence,
)
from rlpyt.utils.buffer import buffer_to
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

__all__ = [
    "POLICY_GRADIENT_RANGES",
    "LossInputs",
    "RewardNormalizer",
    "intrinsic_value_loss",
    "log_ratio",
    "loss_inputs",
    "normalized",
    "policy_gradient_agent",
]

POLICY_GRADIENT_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "discount": (0.0, 1.0),
        "learning_rate": (0.0, math.inf),
        "value_loss_coeff": (0.0, math.inf),
        "entropy_loss_coeff": (0.0, math.inf),
        "clip_grad_norm": (1e-12, math.inf),
        "reward_clip": (1e-12, math.inf),
    }
)
"""What the hyperparameters that all of them share may be, ends included."""


class LossInputs(NamedArrayTuple):
    """What the loss is computed from: [T, B, ...] or a minibatch of it."""

    agent_inputs: AgentInputs
    action: Any
    old_log_prob: Tensor
    old_value: Tensor
    return_: Tensor
    advantage: Tensor
    valid: Tensor | None = None
    intrinsic_return: Tensor | None = None  # target of the intrinsic value


def loss_inputs(
    agent: PgAgent, samples: Samples, reward: Tensor, discount: float, gae_lambda: float
) -> tuple[LossInputs, Any]:
    """Advantages, value targets R = A + V, and what the policy was when it acted, on the agent's
    device.

    Truncations bootstrap, terminations do not. ``reward`` [T, B] is the samples' or a normalised
    one.

    Returns:
        The inputs [T, B, ...], and the recurrent state at the first step, [B, ...].
    """
    info = samples.agent_info
    assert samples.bootstrap_value is not None
    following = next_values(
        info.value, samples.bootstrap_value, samples.terminated, samples.truncated
    )
    advantage = generalized_advantage_estimation(
        reward, info.value, following, samples.done, discount, gae_lambda
    )
    batch = LossInputs(
        agent_inputs=agent.learning_inputs(samples.agent_inputs),
        action=samples.action,
        old_log_prob=agent.distribution.log_prob(info.dist_info, samples.action),
        old_value=info.value,
        return_=advantage + info.value,
        advantage=advantage,
        valid=samples.valid,
    )
    return buffer_to(batch, agent.device), buffer_to(agent.first_state(info), agent.device)


def intrinsic_value_loss(batch: LossInputs, value: Tensor | None) -> Tensor | float:
    """E[½ (R_intrinsic - V_intrinsic(s))²]; 0 without an intrinsic value."""
    if value is None or batch.intrinsic_return is None:
        return 0.0
    return 0.5 * valid_mean(torch.square(batch.intrinsic_return - value), batch.valid)


def log_ratio(log_prob: Tensor, old_log_prob: Tensor, valid: Tensor | None) -> Tensor:
    """The logarithm of π(a|s) / π_old(a|s); zero where not ``valid``, for a mean's weight of 0
    would not outweigh an infinite ratio.
    """
    difference = log_prob - old_log_prob
    return difference if valid is None else torch.where(valid, difference, 0.0)


def normalized(batch: LossInputs, world: World) -> LossInputs:
    """With advantages normalised to mean 0 and deviation 1, over the batches of all processes."""
    advantage, valid = batch.advantage, batch.valid
    if world.size == 1:
        return batch._replace(advantage=normalize(advantage, valid))
    count = torch.tensor(float(advantage.numel())) if valid is None else valid.sum().float()
    weight = torch.ones_like(advantage) if valid is None else valid.to(advantage.dtype)
    own_mean = (advantage * weight).sum() / count.clamp(min=1.0)
    own_var = ((advantage - own_mean).square() * weight).sum() / count.clamp(min=1.0)
    n, mean, var = world.combine(count.to(own_mean), own_mean, own_var)
    deviation = torch.sqrt(var * n / (n - 1.0).clamp(min=1.0))
    return batch._replace(advantage=(advantage - mean) / (deviation + 1e-8))


def policy_gradient_agent(agent: Agent) -> PgAgent:
    """``agent`` itself, if it is one that policy gradients can train.

    Raises:
        RlpytError: for another kind.
    """
    if not isinstance(agent, PgAgent):
        raise RlpytError(
            "config", f"agent is a {type(agent).__name__}, expected a PgAgent", hint="use PgAgent()"
        )
    return agent


@final
class RewardNormalizer:
    """Divides rewards by the running standard deviation of the discounted return, and clips.

    G_t = γ (1 - done_{t-1}) G_{t-1} + r_t per environment; r̂_t = clip(r_t / sqrt(Var[G] + 1e-8),
    ±clip). State of the algorithm: saved with it, and evaluation never sees it.
    """

    def __init__(self, B: int, discount: float, clip: float, world: World | None = None) -> None:
        """Start with no statistics, for ``B`` environments of this process; the statistics are of
        all in ``world``.
        """
        self._world = world
        self._discount = discount
        self._clip = clip
        self._statistics = RunningMeanStd(())
        self._return = torch.zeros(B)
        self._done = torch.zeros(B, dtype=torch.bool)

    def __call__(self, samples: Samples) -> Tensor:
        """Take in the rewards of ``samples`` and return them normalised, [T, B]."""
        started = torch.cat([self._done[None], samples.done[:-1]])
        decay = self._discount * (~started).to(samples.reward.dtype)
        first = samples.reward[:1] + decay[:1] * self._return
        forward = torch.cat([first, samples.reward[1:]])
        returns = reverse_linear_recurrence(forward.flip(0), decay.flip(0)).flip(0)
        self._return, self._done = returns[-1].clone(), samples.done[-1].clone()
        self._statistics.update(returns, samples.valid, self._world)
        scale = torch.sqrt(self._statistics.var + 1e-8).to(samples.reward.dtype)
        return (samples.reward / scale).clamp(-self._clip, self._clip)

    def state_dict(self) -> dict[str, Any]:
        """Statistics and open returns."""
        return {
            "statistics": self._statistics.state_dict(),
            "return": self._return,
            "done": self._done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._statistics.load_state_dict(state["statistics"])
        self._return, self._done = state["return"], state["done"]
