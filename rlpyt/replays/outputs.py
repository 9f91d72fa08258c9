"""The memory that batches are gathered into, and their way to the device."""

import sys
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

from rlpyt.replays.memory import Array
from rlpyt.replays.observations import to_tree
from rlpyt.utils.device import can_pin

__all__ = ["Output", "Outputs"]

_KEPT = 2  # memories for batches of one kind: one that is being used, one to gather into


@final
class Output:
    """Memory for one batch, gathered into through ``arrays``, sent to ``device``.

    Fresh memory for each batch would cost ten times what the copy does. It is used again once
    nothing outside refers to it any more: a batch is never overwritten.
    """

    def __init__(self, n: int, tensors: list[Tensor], device: torch.device) -> None:
        """``tensors`` are on the CPU, in pinned memory where ``device`` can read that."""
        self.n, self._device = n, device
        self._sources = [] if device.type == "cpu" else tensors
        self._arrays = [tensor.numpy() for tensor in tensors]
        self._sent = None if device.type == "cpu" else torch.Event(device)
        self._in_flight = False
        self._unused = self._references()

    def _references(self) -> list[int]:
        # A tensor made of an array, each view of it and what numpy makes of them hold the array.
        return [sys.getrefcount(array) for array in self._arrays]

    @property
    def is_free(self) -> bool:
        """Whether no batch that was gathered into this memory is left."""
        return self._references() == self._unused

    def arrays(self) -> list[Array]:
        """Where to write the next batch, once the last one has left for the device."""
        if self._sent is not None and self._in_flight:
            self._sent.synchronize()
        return self._arrays

    def send(self) -> list[Tensor]:
        """The batch on the device; on the CPU the memory itself."""
        if self._sent is None:
            return [torch.from_numpy(array) for array in self._arrays]
        moved = [tensor.to(self._device, non_blocking=True) for tensor in self._sources]
        # Of that device: it need not be the current one.
        self._sent.record(torch.accelerator.current_stream(self._device))
        self._in_flight = True
        return moved


@final
class Outputs:
    """The memory of a replay's batches."""

    def __init__(self, device: torch.device) -> None:
        """Batches go to ``device``."""
        self._device, self._on_cpu = device, device.type == "cpu"
        self._made: list[Output] = []

    def of(self, n: int, allocate: Callable[[bool], list[Tensor]]) -> Output:
        """Memory for ``n``: that of an earlier batch which was as large and has gone, else new, for
        which ``allocate`` is told whether to pin.
        """
        for output in self._made:
            if output.n == n and output.is_free:
                return output
        output = Output(n, allocate(not self._on_cpu and can_pin()), self._device)
        self._made = [*self._made, output][-_KEPT:]
        return output

    def put(self, array: Array) -> Tensor:
        """A small array on the device."""
        tensor = torch.from_numpy(array)
        return tensor if self._on_cpu else tensor.to(self._device)

    def put_tree(self, example: Any, values: list[Array]) -> Any:
        """Leaves on the device, as the tree that ``example`` is."""
        return to_tree(example, [self.put(leaf) for leaf in values])
