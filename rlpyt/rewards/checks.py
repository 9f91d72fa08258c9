"""What a reward refuses: options out of range, and transitions that are not of its spaces."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, final

import torch
from gymnasium import Space, spaces
from torch import Tensor

from rlpyt.envs.spaces import space_items
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.buffer import leaves
from rlpyt.utils.collections import is_namedarraytuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.finite import first_bad
from rlpyt.utils.ranges import check_number

__all__ = ["TransitionLayout", "check_numbers", "check_sizes"]


def check_numbers(low: float, high: float = math.inf, **numbers: float) -> None:
    """Refuse numbers, by name, that are not finite or not from ``low`` to ``high``, ends included.

    Raises:
        RlpytError: ``config``.
    """
    for name, value in numbers.items():
        check_number(name, value, low=low, high=high)


def check_sizes(**layers: Sequence[int]) -> None:
    """Refuse hidden layers, by name, of sizes below 1.

    Raises:
        RlpytError: ``config``.
    """
    for name, sizes in layers.items():
        if min(sizes, default=1) < 1:
            hint = "use 1 or more for each layer, or none"
            raise RlpytError("config", f"{name}={tuple(sizes)}", hint=hint)


class _Leaf(NamedTuple):
    """An array of a field of transitions."""

    name: str  # observation.place
    path: tuple[str, ...]  # the field's name first
    space: Space[Any]
    shape: tuple[int, ...]  # behind [T, B]
    sizes: tuple[int, ...]  # how many indices there are of each entry; empty where not discrete

    def of(self, samples: RewardSamples) -> Tensor:
        """The array.

        Raises:
            RlpytError: where there is none.
        """
        node: Any = samples
        for depth, name in enumerate(self.path):
            if not is_namedarraytuple(node) or name not in node:
                what = f"{'.'.join(self.path[:depth])} has no {name!r}, and its space has"
                hint = "give a dict, or a tuple, to reward_samples(...) where the space is one"
                raise RlpytError("config", what, hint=hint)
            node = getattr(node, name)
        if not isinstance(node, Tensor):
            what = f"{self.name} is a {type(node).__name__}, and {self.space} wants one tensor"
            raise RlpytError("config", what, hint="make transitions by reward_samples(...)")
        return node

    def out_of_range(self, leaf: Tensor) -> Tensor:
        """Which indices are none of the space's, bool, shaped as ``leaf``."""
        if len(set(self.sizes)) == 1:
            return (leaf < 0) | (leaf >= self.sizes[0])
        size = torch.tensor(self.sizes, device=leaf.device).reshape(self.shape)
        return (leaf < 0) | (leaf >= size)


def _leaves(field: str, space: Space[Any]) -> list[_Leaf]:
    """Of what has an array: an action that a reward does not look at may be of any space."""
    found = []
    for dotted, leaf in space_items(space):
        path = (field, *(dotted.split(".") if dotted else ()))
        sizes: tuple[int, ...] = ()
        if isinstance(leaf, spaces.Discrete):
            sizes = (int(leaf.n),)
        elif isinstance(leaf, spaces.MultiDiscrete):
            sizes = tuple(leaf.nvec.flatten().tolist())
        elif not isinstance(leaf, spaces.Box | spaces.MultiBinary):
            continue
        found.append(_Leaf(".".join(path), path, leaf, tuple(leaf.shape or ()), sizes))
    return found


@final
class TransitionLayout:
    """What transitions of two spaces look like: arrays [T, B, ...], of whole numbers where indices
    are.

    Args:
        observation_space: What is observed; ``None``: anything.
        action_space: What is done; ``None``: anything.
    """

    def __init__(
        self, observation_space: Space[Any] | None = None, action_space: Space[Any] | None = None
    ) -> None:
        self.leaves: list[_Leaf] = []
        if observation_space is not None:
            self.leaves += _leaves("observation", observation_space)
            self.leaves += _leaves("next_observation", observation_space)
        if action_space is not None:
            self.leaves += _leaves("action", action_space)

    def check(self, samples: RewardSamples) -> None:
        """Refuse ``samples`` of another layout; what the numbers are is not looked at.

        Raises:
            RlpytError: ``config``.
        """
        terminated = samples.terminated
        if terminated.dim() != 2:
            what = f"terminated has shape {tuple(terminated.shape)}, not [T, B]"
            hint = "add the missing dimension: one step is [1, B], one environment [T, 1]"
            raise RlpytError("config", what, hint=hint)
        leading = tuple(terminated.shape)
        if not terminated.numel():
            hint = "give one step or more, of one environment or more"
            raise RlpytError("config", f"a batch of T, B = {leading}", hint=hint)
        for name, node in samples.items():
            is_flag = name in ("terminated", "truncated", "reset", "valid")
            for array in leaves(node):
                if tuple(array.shape[:2]) != leading or (is_flag and array.dim() != 2):
                    what = f"{name} has shape {tuple(array.shape)}, terminated {leading}"
                    hint = "every field is [T, B, ...]: a row for each step, the next "
                    hint += "observation of each step in the same row"
                    raise RlpytError("config", what, hint=hint)
                if is_flag and array.dtype != torch.bool:
                    hint = "use .bool(), or make transitions by reward_samples(...)"
                    raise RlpytError("config", f"{name} is {array.dtype}, not bool", hint=hint)
        for leaf in self.leaves:
            _check_leaf(leaf, leaf.of(samples))

    def check_numbers(self, samples: RewardSamples) -> None:
        """Refuse ``samples``, of this layout, with numbers that are not finite or indices that are
        not the space's, where ``valid``: statistics and networks would keep them for ever.

        Of floats their sums are looked at first, which takes one pass; of all together, once.

        Raises:
            RlpytError: ``config``, naming the first one.
        """
        total: Tensor | float = 0.0
        is_out: Tensor | bool = False
        for leaf in self.leaves:
            array = leaf.of(samples)
            if leaf.sizes:
                is_out = leaf.out_of_range(array).any() | is_out
            elif array.is_floating_point():
                total = array.sum() + total
        if bool(torch.as_tensor(is_out) | ~torch.as_tensor(total).isfinite()):
            for leaf in self.leaves:
                _check_each(leaf, leaf.of(samples), samples.valid)


def _check_leaf(leaf: _Leaf, array: Tensor) -> None:
    found = tuple(array.shape[2:])
    if found != leaf.shape:
        what = f"{leaf.name} has shape [T, B, ...] of {found}, and {leaf.space} is of {leaf.shape}"
        hint = "give what the spaces describe, or build the reward for the spaces that it comes of"
        raise RlpytError("config", what, hint=hint)
    if leaf.path[0] == "action" and leaf.sizes and array.is_floating_point():
        what = f"{leaf.name} is {array.dtype}, and {leaf.space} is of whole numbers"
        raise RlpytError("config", what, hint="give indices from 0: action.long()")


def _check_each(leaf: _Leaf, array: Tensor, valid: Tensor | None) -> None:
    """Raise for the first number that makes trouble, where ``valid`` [T, B]."""
    if valid is not None:
        array = array.masked_fill(~valid.reshape(*valid.shape, *(1,) * (array.dim() - 2)), 0)
    if leaf.sizes:
        is_out = leaf.out_of_range(array)
        if bool(is_out.any()):
            place = [int(i) for i in is_out.nonzero()[0]]
            what = f"{leaf.name}{place} is {array[tuple(place)].item()}, and the space {leaf.space}"
            raise RlpytError("config", what, hint="give indices from 0, below the space's number")
    elif array.is_floating_point():
        if leaf.path[0] == "action":  # infinite ones are clipped to the space's bounds
            array = array.where(array.isnan(), 0.0)
        bad = first_bad({leaf.name: array})
        if bad is not None:
            hint = "find out where it comes from; a reward that took it in would give no other"
            raise RlpytError("config", f"{bad[0]} is {bad[1]}", hint=hint)
