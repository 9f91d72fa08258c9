"""The memory that batches are gathered into, and their way to the device."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

from rlpyt.replays.memory import Array
from rlpyt.replays.observations import to_tree

__all__ = ["Output", "Outputs"]


@final
class Output:
    """Tensors allocated once, gathered into through ``arrays``, sent to ``device``.

    Fresh memory for each batch would cost ten times what the copy does.
    """

    def __init__(self, tensors: list[Tensor], device: torch.device) -> None:
        """``tensors`` are on the CPU, in pinned memory where ``device`` is another."""
        self._tensors, self._device = tensors, device
        self._arrays = [tensor.numpy() for tensor in tensors]
        self._sent = None if device.type == "cpu" else torch.Event(device)
        self._in_flight = False

    def arrays(self) -> list[Array]:
        """Where to write the next batch, once the last one has left for the device."""
        if self._sent is not None and self._in_flight:
            self._sent.synchronize()
        return self._arrays

    def send(self) -> list[Tensor]:
        """The batch on the device; on the CPU the memory itself, which the next one overwrites."""
        if self._sent is None:
            return self._tensors
        moved = [tensor.to(self._device, non_blocking=True) for tensor in self._tensors]
        self._sent.record()
        self._in_flight = True
        return moved


@final
class Outputs:
    """The memory of a replay's batches, by name."""

    def __init__(self, device: torch.device) -> None:
        """Batches go to ``device``."""
        self._device = device
        self._made: dict[str, tuple[int, Output]] = {}

    def of(self, name: str, n: int, allocate: Callable[[bool], list[Tensor]]) -> Output:
        """Memory for ``n``: that of the last batch if that was as large, else a new one, for which
        ``allocate`` is told whether to pin.
        """
        size, output = self._made.get(name, (0, None))
        if output is None or size != n:
            output = Output(allocate(self._device.type != "cpu"), self._device)
            self._made[name] = n, output
        return output

    def put(self, array: Array) -> Tensor:
        """A small array on the device."""
        tensor = torch.from_numpy(array)
        return tensor if self._device.type == "cpu" else tensor.to(self._device)

    def put_tree(self, example: Any, values: list[Array]) -> Any:
        """Leaves on the device, as the tree that ``example`` is."""
        return to_tree(example, [self.put(leaf) for leaf in values])
