"""Between the actions of a Box and actions in units of its bounds."""

from typing import Any, final

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor, nn

from rlpyt.distributions.tensors import flatten_action, shape_action
from rlpyt.utils.errors import RlpytError

__all__ = ["ActionScale"]


@final
class ActionScale(nn.Module):
    """a = c + s u: an action a [..., *shape] of a Box and its unit action u [..., dim], which is
    within ±1 where a is within the bounds.

    c and s are the centre and half-width of the bounds; an unbounded dimension has c = 0, s = 1.

    Args:
        space: The action space.

    Raises:
        RlpytError: for another space, a Box of integers, or one with low >= high.
    """

    center: Tensor
    half_width: Tensor
    offset: Tensor
    inverse: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, space: Space[Any]) -> None:
        super().__init__()
        if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            raise _error(space, "is no Box of real numbers", "make it a float32 Box")
        low, high = (bound.astype(np.float64).flatten() for bound in (space.low, space.high))
        bounded = np.isfinite(low) & np.isfinite(high)
        if not (low < high).all():
            raise _error(space, "has bounds with low >= high", "leave such dimensions out")
        self.shape = space.shape
        self.dim = low.size
        self.is_bounded = bool(bounded.all())
        with np.errstate(invalid="ignore"):  # inf - inf, where unbounded
            center = np.where(bounded, (high + low) / 2, 0.0)
            half_width = np.where(bounded, (high - low) / 2, 1.0)
        self.is_identity = bool((center == 0.0).all() and (half_width == 1.0).all())
        tables = {
            "center": center,
            "half_width": half_width,
            "offset": -center / half_width,
            "inverse": 1.0 / half_width,
            "low": _inward(low, np.inf),
            "high": _inward(high, -np.inf),
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.tensor(table, dtype=torch.float32), persistent=False)

    def to_unit(self, action: Tensor) -> Tensor:
        """Action a [..., *shape] to unit action u [..., dim]."""
        flat = flatten_action(action, self.shape)
        return flat if self.is_identity else torch.addcmul(self.offset, flat, self.inverse)

    def from_unit(self, unit: Tensor) -> Tensor:
        """Unit action u [..., dim] to action a [..., *shape], past a bound by a rounding error at
        most.
        """
        if not self.is_identity:
            unit = torch.addcmul(self.center, unit, self.half_width)
        return shape_action(unit, self.shape)

    def within(self, unit: Tensor) -> Tensor:
        """As :meth:`from_unit`, for u within ±1, and never past a bound of the Box."""
        if self.is_identity:
            return shape_action(unit, self.shape)
        action = torch.addcmul(self.center, unit, self.half_width)
        return shape_action(action.clamp(self.low, self.high), self.shape)


def _inward(bound: np.ndarray[Any, Any], towards: float) -> np.ndarray[Any, Any]:
    """float64 bounds as float32, next to where rounding went past."""
    rounded = bound.astype(np.float32)
    past = rounded < bound if towards > 0 else rounded > bound
    return np.where(past, np.nextafter(rounded, np.float32(towards)), rounded)


def _error(space: Space[Any], what: str, hint: str) -> RlpytError:
    return RlpytError(
        "space",
        f"{space} {what}",
        where="action space",
        hint=f"{hint} with a gymnasium wrapper",
    )
