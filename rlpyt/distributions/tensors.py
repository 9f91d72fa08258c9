"""Small tensor functions that several distributions share."""

import math

import torch
from torch import Tensor

__all__ = ["flatten_action", "mask_logits", "masked_logit", "shape_action"]


def masked_logit(dtype: torch.dtype) -> float:
    """The logit of a forbidden choice: its probability is exactly 0 in ``dtype``.

    Finite, so that ``0 * logit`` is 0 and not NaN; half the lowest number, so that it survives a
    subtraction.
    """
    return torch.finfo(dtype).min / 2


def mask_logits(logits: Tensor, mask: Tensor) -> Tensor:
    """``logits`` with :func:`masked_logit` where ``mask``, of the same shape, is false or 0.

    A masked entry gets a gradient of exactly 0.
    """
    return torch.where(mask.bool(), logits, masked_logit(logits.dtype))


def flatten_action(action: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``action`` [..., *shape] as [..., prod(shape)]."""
    if len(shape) == 1:
        return action
    return action.reshape((*action.shape[: action.dim() - len(shape)], math.prod(shape)))


def shape_action(flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``flat`` [..., prod(shape)] as [..., *shape]: the inverse of :func:`flatten_action`."""
    if len(shape) == 1:
        return flat
    return flat.reshape((*flat.shape[:-1], *shape))
