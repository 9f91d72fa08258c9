"""What PPG keeps of a phase: the observations of many batches, and what was to be learned there."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, final

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor

from rlpyt.algos.pg.batch import LossInputs
from rlpyt.data import BatchSpec
from rlpyt.envs.spaces import example_of
from rlpyt.utils.buffer import buffer_from_example, buffer_map, buffer_to, leaves
from rlpyt.utils.collections import NamedArrayTuple

__all__ = ["Phase", "PhaseSteps"]


class PhaseSteps(NamedArrayTuple):
    """Steps of a phase: [N, T, B, ...] for N batches, or [n, ...] of a minibatch."""

    observation: Any
    return_: Tensor  # V̂_targ
    valid: Tensor  # bool
    old_dist_info: Any = None  # of the policy as the auxiliary phase begins


@final
class Phase:
    """Up to ``n_batches`` batches [T, B] on the CPU, in the dtypes they come in; room is made with
    the first of them.
    """

    def __init__(self, n_batches: int) -> None:
        """Empty."""
        self._n_batches = n_batches
        self._count = 0
        self._steps: PhaseSteps | None = None

    @staticmethod
    def forecast(observation_space: Space[Any], batch_spec: BatchSpec, n_batches: int) -> int:
        """Bytes that so many batches will take."""
        step = sum(leaf.nbytes for leaf in leaves(example_of(observation_space)))
        return int((step + 4 + 1) * batch_spec.size * n_batches)  # a float32 and a bool beside

    @property
    def is_full(self) -> bool:
        """Whether the auxiliary phase is due."""
        return self._count == self._n_batches

    def append(self, batch: LossInputs) -> None:
        """Keep what the auxiliary phase needs of a batch [T, B, ...]."""
        valid = batch.valid
        if valid is None:
            valid = torch.ones_like(batch.return_, dtype=torch.bool)
        steps = PhaseSteps(batch.agent_inputs.observation, batch.return_, valid)
        if self._steps is None:
            T, B = batch.return_.shape
            self._steps = buffer_from_example(
                buffer_map(lambda leaf: leaf[0, 0], steps), (self._n_batches, T, B)
            )
        self._steps[self._count] = steps
        self._count += 1

    def clear(self) -> None:
        """Forget all; the room stays."""
        self._count = 0

    def minibatches(
        self,
        count: int,
        rng: np.random.Generator,
        device: torch.device,
        old_dist_info: Any,
    ) -> Iterator[PhaseSteps]:
        """One epoch over all steps, shuffled: ``count`` parts of nearly equal size for each batch
        held, gathered one at a time, on ``device``; ``old_dist_info`` is a tree [all steps, ...]
        there.
        """
        held = self._flat()
        n = held.valid.shape[0]
        order = torch.from_numpy(rng.permutation(n))
        edges = np.linspace(0, n, count * self._count + 1).round().astype(int).tolist()
        for start, stop in pairwise(edges):
            index = order[start:stop]
            part = buffer_to(_rows(held, index), device)
            yield part._replace(old_dist_info=_rows(old_dist_info, index.to(device)))

    def each(self, function: Callable[[Any], Any], size: int, device: torch.device) -> Any:
        """``function`` of the observations of all steps, in order, ``size`` at a time on
        ``device``: a tree [all steps, ...].
        """
        held = self._flat()
        found = []
        for start in range(0, held.valid.shape[0], size):
            rows = buffer_map(lambda leaf, a=start: leaf[a : a + size], held.observation)
            found.append(function(buffer_to(rows, device)))
        return buffer_map(lambda *parts: torch.cat(parts), *found)

    def _flat(self) -> PhaseSteps:
        """All that is held, [N T B, ...]: views."""
        steps: PhaseSteps = buffer_map(lambda leaf: leaf[: self._count].flatten(0, 2), self._steps)
        return steps

    def state_dict(self) -> dict[str, Any]:
        """What is held; arrays share the memory here."""
        if self._count == 0:
            return {"count": 0, "steps": None}
        return {"count": self._count, "steps": buffer_map(lambda x: x[: self._count], self._steps)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._count = state["count"]
        if self._count:
            self._steps = buffer_map(self._with_room, state["steps"])

    def _with_room(self, leaf: Tensor) -> Tensor:
        missing = leaf.new_zeros(self._n_batches - self._count, *leaf.shape[1:])
        return torch.cat([leaf, missing])


def _rows(tree: Any, index: Tensor) -> Any:
    return buffer_map(lambda leaf: leaf.index_select(0, index), tree)
