"""Q-learning: action values, errors and priorities; tensors in, tensors out.

Actions are int64, action values [..., A], and the leading dimensions any ([N], [T, B], ...).
"""

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from rlpyt.distributions.tensors import mask_logits

__all__ = [
    "at_action",
    "greedy_action",
    "huber",
    "sequence_priority",
]


def at_action(values: Tensor, action: Tensor) -> Tensor:
    """What ``values`` hold for ``action``: Q(s, a), or the whole distribution Z(s, a).

    Args:
        values: [..., A] action values, or [..., A, K] with K atoms or quantiles for each action.
        action: int64 [...].

    Returns:
        [...] or [..., K].
    """
    axis = action.dim()
    trailing = values.shape[axis + 1 :]
    index = action.reshape(action.shape + (1,) * (1 + len(trailing)))
    return values.gather(axis, index.expand(*action.shape, 1, *trailing)).squeeze(axis)


def greedy_action(q: Tensor, mask: Tensor | None = None) -> Tensor:
    """argmax_a Q(s, a) over the allowed actions, int64 [...]; the first among equals.

    Args:
        q: [..., A].
        mask: bool or 0/1 [..., A], true where allowed. Where it allows nothing (the last
            observation of an episode, say) the answer is action 0.
    """
    return (q if mask is None else mask_logits(q, mask)).argmax(-1)


def huber(x: Tensor, delta: float | None = 1.0) -> Tensor:
    """The Huber loss, shaped as ``x``: ½x² where |x| <= δ, δ(|x| - ½δ) beyond (Huber 1964; eq. 9
    of Dabney et al. 2018, arXiv:1710.10044).

    Its slope is x clipped to ±δ: the "error clipping" of DQN (Mnih et al. 2015).

    Args:
        x: errors.
        delta: δ > 0; ``None`` for ½x² everywhere.
    """
    if delta is None:
        return 0.5 * x.square()
    return huber_loss(x, torch.zeros_like(x), reduction="none", delta=delta)


def sequence_priority(
    error: Tensor, priority_eta: float = 0.9, valid: Tensor | None = None
) -> Tensor:
    """The priority of a sequence (Kapturowski et al. 2019, R2D2, section 2.3), [B].

        p = η max_t |δ_t| + (1 - η) mean_t |δ_t|

    A sequence without a valid step has priority 0. Gets no gradient.

    Args:
        error: δ, [T, B].
        priority_eta: η, in [0, 1].
        valid: bool [T, B]: the steps that count; all without it. What other steps hold does not
            matter.
    """
    magnitude = error.detach().abs()
    if valid is None:
        mean = magnitude.mean(0)
    else:
        magnitude = torch.where(valid, magnitude, 0.0)
        mean = magnitude.sum(0) / valid.sum(0).clamp(min=1)
    return priority_eta * magnitude.amax(0) + (1.0 - priority_eta) * mean
