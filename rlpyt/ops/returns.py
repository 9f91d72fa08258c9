"""Returns and advantages: tensors in, tensors out, time first.

Everything here is one reverse linear recurrence, computed in log2(T) vectorised steps: no Python
loop over time.
"""

import torch
from torch import Tensor

__all__ = [
    "generalized_advantage_estimation",
    "next_values",
    "reverse_linear_recurrence",
]


def reverse_linear_recurrence(x: Tensor, decay: Tensor) -> Tensor:
    """Solve y_t = x_t + d_t y_{t+1}, with y_T = 0.

    By doubling: after k rounds y_t holds the sum of 2^k terms.

    Args:
        x: [T, ...].
        decay: d, [T, ...], at most 1 in magnitude.

    Returns:
        y, [T, ...].
    """
    T = x.shape[0]
    span = 1
    while span < T:
        x = torch.cat([x[:-span] + decay[:-span] * x[span:], x[-span:]])
        decay = torch.cat([decay[:-span] * decay[span:], torch.zeros_like(decay[-span:])])
        span *= 2
    return x


def next_values(
    value: Tensor, bootstrap_value: Tensor, terminated: Tensor, truncated: Tensor
) -> Tensor:
    """V(s_{t+1}) of the *true* next state, [T, B]: zero where terminated, the final observation's
    where truncated.

    Args:
        value: V(s_t), [T, B].
        bootstrap_value: V of the true next observation where ``truncated`` and in the last row,
            [T, B].
        terminated: bool [T, B].
        truncated: bool [T, B].
    """
    following = torch.cat([value[1:], bootstrap_value[-1:]])
    following = torch.where(truncated, bootstrap_value, following)
    return following.masked_fill(terminated, 0.0)


def generalized_advantage_estimation(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    done: Tensor,
    discount: float,
    gae_lambda: float,
) -> Tensor:
    """GAE(γ, λ) (Schulman et al. 2016, eq. 16), with truncation told from termination.

        δ_t = r_t + γ V(s_{t+1}) - V(s_t),   A_t = δ_t + γ λ (1 - done_t) A_{t+1}

    ``next_value`` is zero where the episode terminated, so that only termination cuts the
    bootstrap.

    Args:
        reward: [T, B].
        value: V(s_t), [T, B].
        next_value: V of the true next state, [T, B], from :func:`next_values`.
        done: bool [T, B], terminated or truncated: where the sum stops.
        discount: γ.
        gae_lambda: λ; 1 gives returns minus values, 0 one-step errors.

    Returns:
        A, [T, B].
    """
    delta = reward + discount * next_value - value
    decay = discount * gae_lambda * (~done).to(delta.dtype)
    return reverse_linear_recurrence(delta, decay)
