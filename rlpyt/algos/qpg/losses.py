"""What losses of off-policy actor-critics give, and what is logged of them."""

from typing import NamedTuple

from torch import Tensor

from rlpyt.algos.q_losses import QLosses

__all__ = ["CriticInfo", "PolicyInfo", "PolicyLosses", "SoftPolicyInfo", "td_losses"]


class CriticInfo(NamedTuple):
    """What is logged of a step of the critics: scalars, without gradient."""

    qLoss: Tensor
    tdAbsErr: Tensor
    q: Tensor


class PolicyInfo(NamedTuple):
    """What is logged of a step of the policy: a scalar, without gradient."""

    piLoss: Tensor


class SoftPolicyInfo(NamedTuple):
    """What is logged of a step of a policy that stays random: scalars, without gradient."""

    piLoss: Tensor
    entropy: Tensor  # -E[log π(a|s)]
    alpha: Tensor  # α before its step


class PolicyLosses(NamedTuple):
    """What a loss of a policy gives at each step, [...]."""

    loss: Tensor
    entropy: Tensor | None  # without gradient; None of a deterministic policy


def td_losses(q: Tensor, target: Tensor) -> QLosses:
    """L = Σ_i ½ (y - Q_i(s, a))² of each step; the priority is E_i |y - Q_i|.

    Args:
        q: Q_i(s, a) of each critic, [n, ...].
        target: y, [...], without gradient.
    """
    error = target - q
    priority = error.detach().abs().mean(0)
    return QLosses(0.5 * error.square().sum(0), priority, q.detach().mean(0))
