"""The mathematics: pure functions of tensors."""

from rlpyt.ops.losses import normalize, valid_mean
from rlpyt.ops.returns import (
    discount_return,
    generalized_advantage_estimation,
    next_values,
    reverse_linear_recurrence,
)

__all__ = [
    "discount_return",
    "generalized_advantage_estimation",
    "next_values",
    "normalize",
    "reverse_linear_recurrence",
    "valid_mean",
]
