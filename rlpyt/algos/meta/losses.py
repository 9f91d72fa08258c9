"""The losses of PEARL (Rakelly et al. 2019, arXiv:1903.08254), and what is logged of them."""

from typing import Any, NamedTuple

from torch import Tensor

from rlpyt.models.context import Context

__all__ = [
    "CriticInfo",
    "PearlBatch",
    "PolicyInfo",
    "ValueInfo",
    "critic_loss",
    "policy_loss",
]


def critic_loss(q: Tensor, target: Tensor, kl: Tensor, *, kl_lambda: float) -> Tensor:
    """For critics and encoder: Σ_i E[(Q_i(s, a, z) - y)²] + λ Σ_tasks KL(q(z|c) ‖ N(0, 1)).

    Args:
        q: Q_i of n critics, [n, M, N], of M tasks.
        target: y, [M, N], without gradient.
        kl: [M], summed over the dimensions of z.
        kl_lambda: λ.
    """
    return (q - target).square().mean((1, 2)).sum() + kl_lambda * kl.sum()


def policy_loss(
    q: Tensor, log_prob: Tensor, mean: Tensor, log_std: Tensor, *, regularization: float
) -> Tensor:
    """E[log π(a|s, z) - min_i Q_i(s, a, z)] + w (E[μ²] + E[(log σ)²]).

    Args:
        q: min_i Q_i of an action of the policy, [M, N].
        log_prob: its log-density, [M, N].
        mean: μ, [M, N, dim], before it is squashed.
        log_std: log σ, [M, N, dim].
        regularization: w.
    """
    size = regularization * (mean.square().mean() + log_std.square().mean())
    return (log_prob - q).mean() + size


class CriticInfo(NamedTuple):
    """What is logged of a step of critics and encoder: scalars, without gradient."""

    qLoss: Tensor  # with the KL
    q: Tensor
    kl: Tensor  # of a task


class PolicyInfo(NamedTuple):
    """What is logged of a step of the policy: scalars, without gradient."""

    piLoss: Tensor
    entropy: Tensor


class ValueInfo(NamedTuple):
    """What is logged of a step of the value: a scalar, without gradient."""

    vLoss: Tensor


class PearlBatch(NamedTuple):
    """What a gradient step learns from: N transitions of each of M tasks, and their contexts."""

    context: Context  # [M, C, ...]
    valid: Tensor | None  # [M, C] bool: which of its transitions count; None: all
    now: Any  # tree [M, N, ...]
    action: Any
    reward: Tensor  # [M, N]
    following: Any
    not_terminated: Tensor  # [M, N] float32
