"""From a Gymnasium action space to the distribution over its actions."""

from typing import Any

import numpy as np
from gymnasium import Space, spaces

from rlpyt.distributions.base import Distribution
from rlpyt.distributions.bernoulli import Bernoulli
from rlpyt.distributions.categorical import Categorical
from rlpyt.distributions.composite import Composite
from rlpyt.distributions.gaussian import Gaussian
from rlpyt.distributions.multi_categorical import MultiCategorical
from rlpyt.distributions.squashed_gaussian import SquashedGaussian
from rlpyt.utils.errors import RlpytError

__all__ = ["distribution_for"]

_SUPPORTED = "Discrete, MultiDiscrete, MultiBinary, Box, Dict or Tuple"


def distribution_for(action_space: Space[Any], *, squash: bool = False) -> Distribution:
    """The distribution over the actions of ``action_space``.

    =============  =====================================================
    Discrete       Categorical; actions count from 0, whatever ``start``
    MultiDiscrete  MultiCategorical; likewise
    MultiBinary    Bernoulli
    Box            Gaussian, or SquashedGaussian with ``squash``
    Dict, Tuple    Composite of the above, nested likewise
    =============  =====================================================

    ``squash`` concerns the Box parts only.

    Raises:
        RlpytError: for another space, a Box of integers, a Dict or Tuple that is empty or has keys
            that are no field names; with ``squash``, for a Box without finite bounds, low < high.
    """
    return _build(action_space, "action space", squash)


def _build(space: Space[Any], where: str, squash: bool) -> Distribution:
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiCategorical(tuple(space.nvec.flatten().tolist()), tuple(space.nvec.shape))
    if isinstance(space, spaces.MultiBinary):
        return Bernoulli(tuple(int(size) for size in space.shape))
    if isinstance(space, spaces.Box):
        return _build_box(space, where, squash)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        fields = tuple(
            (name, _build(child, f"{where}.{name}", squash))
            for name, child in _children(space).items()
        )
        return _build_composite(space, fields, where)
    raise RlpytError(
        "space",
        f"no distribution over {space}",
        where=where,
        hint=f"wrap the environment so that its actions are {_SUPPORTED}",
    )


def _build_box(space: spaces.Box, where: str, squash: bool) -> Distribution:
    if not np.issubdtype(space.dtype, np.floating):
        raise RlpytError(
            "space",
            f"{space} holds integers, a Gaussian gives real numbers",
            where=where,
            hint="wrap the environment: Box actions of dtype float32, or MultiDiscrete",
        )
    if not squash:
        return Gaussian(space.shape)
    low, high = space.low.flatten(), space.high.flatten()
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise RlpytError(
            "space",
            f"squash=True needs finite bounds with low < high, found {space}",
            where=where,
            hint="wrap the environment so that the Box has finite bounds, or use squash=False",
        )
    return SquashedGaussian(tuple(low.tolist()), tuple(high.tolist()), space.shape)


def _build_composite(
    space: spaces.Dict | spaces.Tuple[Any],
    fields: tuple[tuple[str, Distribution], ...],
    where: str,
) -> Distribution:
    if not fields:
        raise RlpytError(
            "space",
            f"{space} is empty: there is no action to take",
            where=where,
            hint="remove it with a gymnasium wrapper",
        )
    try:
        return Composite(fields, "DictTree" if isinstance(space, spaces.Dict) else "TupleTree")
    except ValueError as error:
        raise RlpytError(
            "space",
            f"the keys {[name for name, _ in fields]} cannot all be field names: {error}",
            where=where,
            hint="rename the keys to Python identifiers with a gymnasium wrapper",
        ) from error


def _children(space: spaces.Dict | spaces.Tuple[Any]) -> dict[str, Space[Any]]:
    """Field name to space: a Dict's keys, or ``item_0``, ... of a Tuple."""
    if isinstance(space, spaces.Dict):
        return dict(space.spaces)
    return {f"item_{index}": child for index, child in enumerate(space.spaces)}
