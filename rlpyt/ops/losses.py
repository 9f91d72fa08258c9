"""Small pieces that losses share: tensors in, tensors out."""

import torch
from torch import Tensor

__all__ = ["normalize", "valid_mean", "weighted_mean"]


def valid_mean(x: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over the entries where ``valid`` (bool, shaped as ``x``) is true; over all without it. A
    scalar.

    No data-dependent shape: invalid entries count as zero, so they must be finite.
    """
    if valid is None:
        return x.mean()
    weight = valid.to(x.dtype)
    return (x * weight).sum() / weight.sum().clamp(min=1.0)


def normalize(x: Tensor, valid: Tensor | None = None, eps: float = 1e-8) -> Tensor:
    """(x - mean) / (std + eps) over the valid entries, with the unbiased standard deviation.

    A single entry, which has no deviation, stays as it is.
    """
    if x.numel() == 1:
        return x
    if valid is None:
        return (x - x.mean()) / (x.std() + eps)
    weight = valid.to(x.dtype)
    count = weight.sum()
    mean = (x * weight).sum() / count.clamp(min=1.0)
    variance = ((x - mean).square() * weight).sum() / (count - 1.0).clamp(min=1.0)
    return (x - mean) / (torch.sqrt(variance) + eps)


def weighted_mean(loss: Tensor, is_weight: Tensor | None) -> Tensor:
    """E[w L] with importance weights w, where transitions were sampled by priority."""
    return loss.mean() if is_weight is None else (is_weight * loss).mean()
