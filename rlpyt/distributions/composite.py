"""Several independent actions under names: the distribution of a Dict or Tuple action."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.distributions.base import Distribution
from rlpyt.utils.collections import namedarraytuple

__all__ = ["Composite"]


@final
@dataclass(frozen=True)
class Composite(Distribution):
    """p(a) = Π_f p_f(a_f) over ``fields``: (name, distribution), which may be composite itself.

    Parameters, masks and noise are concatenated in the order of the fields. An action is a
    NamedArrayTuple of class ``namedarraytuple(typename, names)``: "DictTree" or "TupleTree", as
    everywhere for Gymnasium's Dict and Tuple values. A dist_info is a NamedArrayTuple "DistInfo"
    with one dist_info under each name. There is at least one field.

    Raises:
        ValueError: for a name that cannot be a field of a NamedArrayTuple.
    """

    fields: tuple[tuple[str, Distribution], ...]
    typename: str = "DictTree"

    _action_class: Any = field(init=False, repr=False, compare=False)
    _info_class: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Made once, here: torch.compile cannot trace the making of a class.
        names = tuple(name for name, _ in self.fields)
        object.__setattr__(self, "_action_class", namedarraytuple(self.typename, names))
        object.__setattr__(self, "_info_class", namedarraytuple("DistInfo", names))

    def __reduce__(self) -> tuple[Any, ...]:
        # The classes above are no module attributes, so pickle is told to make them again.
        return Composite, (self.fields, self.typename)

    @property
    def parts(self) -> tuple[Distribution, ...]:
        """The distributions, without their names."""
        return tuple(part for _, part in self.fields)

    @property
    def param_size(self) -> int:
        """The sum over the fields."""
        return sum(part.param_size for part in self.parts)

    @property
    def noise_size(self) -> int:
        """The sum over the fields."""
        return sum(part.noise_size for part in self.parts)

    @property
    def mask_size(self) -> int:
        """The sum over the fields."""
        return sum(part.mask_size for part in self.parts)

    def dist_info(self, params: Tensor, mask: Tensor | None = None) -> Any:
        """A dist_info per field; ``params`` is [..., param_size], ``mask`` [..., mask_size]."""
        parts = self.parts
        split_params = torch.split(params, [part.param_size for part in parts], -1)
        split_mask: Sequence[Tensor | None] = [None] * len(parts)
        if mask is not None:
            split_mask = torch.split(mask, [part.mask_size for part in parts], -1)
        return self._info_class._make(
            part.dist_info(part_params, part_mask if part.mask_size else None)
            for part, part_params, part_mask in zip(parts, split_params, split_mask, strict=True)
        )

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...]
    ) -> np.ndarray[Any, Any]:
        """Every field's noise, [*leading, noise_size] float32.

        Drawn one sample after the other, so that noise for T steps at once is the noise for T times
        one step.
        """
        rows = [
            np.concatenate([part.draw_noise(rng, ()) for part in self.parts])
            for _ in range(math.prod(leading))
        ]
        return np.asarray(rows, dtype=np.float32).reshape(*leading, self.noise_size)

    def sample(self, dist_info: Any, noise: Tensor) -> Any:
        """A tree of actions, each sampled with its part of ``noise`` [..., noise_size]."""
        parts = self.parts
        split_noise = torch.split(noise, [part.noise_size for part in parts], -1)
        return self._action_class._make(
            part.sample(info, part_noise)
            for part, info, part_noise in zip(parts, dist_info, split_noise, strict=True)
        )

    def mode(self, dist_info: Any) -> Any:
        """A tree of every field's mode."""
        return self._action_class._make(
            part.mode(info) for part, info in zip(self.parts, dist_info, strict=True)
        )

    def log_prob(self, dist_info: Any, action: Any) -> Tensor:
        """Σ_f log p_f(action_f), [...], for a tree of actions."""
        triples = zip(self.parts, dist_info, action, strict=True)
        return _sum([part.log_prob(info, part_action) for part, info, part_action in triples])

    def entropy(self, dist_info: Any) -> Tensor:
        """The sum of the fields' entropies, [...]."""
        pairs = zip(self.parts, dist_info, strict=True)
        return _sum([part.entropy(info) for part, info in pairs])

    def kl(self, dist_info: Any, other: Any) -> Tensor:
        """The sum of the fields' KL(p_f || q_f), [...]."""
        triples = zip(self.parts, dist_info, other, strict=True)
        return _sum([part.kl(info, other_info) for part, info, other_info in triples])


def _sum(terms: list[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
