"""What a loss of action values gives for each sample of a replay."""

from typing import NamedTuple

from torch import Tensor

from rlpyt.ops.q_learning import sequence_priority

__all__ = ["QLosses", "sequence_losses"]


class QLosses(NamedTuple):
    """What a loss gives for N transitions or sequences, each [N]; before :func:`sequence_losses`,
    for each step of N sequences, [T, N].
    """

    loss: Tensor
    priority: Tensor  # without gradient: how much a transition is worth to be sampled again
    q: Tensor  # without gradient: the value of the action taken


def sequence_losses(steps: QLosses, valid: Tensor, priority_eta: float) -> QLosses:
    """Means over the valid steps of each sequence, [N]; the priority mixes mean and maximum
    (:func:`rlpyt.ops.q_learning.sequence_priority`).

    Args:
        steps: Of each step, [T, N]; where not valid anything finite.
        valid: bool [T, N].
        priority_eta: η.
    """
    weight = valid.to(steps.loss.dtype)
    count = weight.sum(0).clamp(min=1.0)
    priority = sequence_priority(steps.priority, priority_eta, valid)
    return QLosses(
        (steps.loss * weight).sum(0) / count, priority, (steps.q * weight).sum(0) / count
    )
