"""Parameters that one process publishes and others fetch."""

import time
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from rlpyt.utils.collections import NamedArrayTuple, namedarraytuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.shared_memory import SharedBlock

__all__ = ["SharedParams"]


class _Contents(NamedArrayTuple):
    version: Tensor  # int64 [1]: odd while being written
    params: Any  # p0, p1, ...: the tensors of the state, in its order


@final
class SharedParams:
    """The tensors of a module's or an agent's ``state_dict()``, in shared memory with a version.

    One process publishes, any number fetch. A fetch that a publication overtakes begins again, so
    that nobody ever sees half of one state and half of another.
    """

    def __init__(self, block: SharedBlock) -> None:
        """Work on ``block``; :meth:`allocate` makes a new one, other processes attach to it."""
        self.block = block
        self._contents: _Contents = block.tree
        self._version = self._contents.version.numpy()

    @staticmethod
    def allocate(state: Mapping[str, Any]) -> "SharedParams":
        """Room for the tensors in ``state``, nested dicts of tensors."""
        tensors = _tensors(state)
        fields = [f"p{i}" for i in range(len(tensors))]
        examples = [torch.empty_like(tensor, device="meta") for tensor in tensors]
        params = namedarraytuple("Params", fields)(*examples)
        version = torch.empty(1, dtype=torch.int64, device="meta")
        return SharedParams(SharedBlock.allocate(_Contents(version, params), "the parameters"))

    @property
    def version(self) -> int:
        """How often parameters were published."""
        return int(self._version[0]) // 2

    @torch.no_grad()
    def publish(self, state: Mapping[str, Any]) -> None:
        """Let others have the tensors of ``state``, from any device."""
        self._version[0] += 1
        for shared, tensor in zip(self._contents.params, _tensors(state), strict=True):
            shared.copy_(tensor)
        self._version[0] += 1

    @torch.no_grad()
    def fetch(self, state: Mapping[str, Any], *, timeout: float = 60.0) -> int:
        """Write the newest published tensors into those of ``state``; return their version.

        Raises:
            RlpytError: ``worker``, where the publisher has stopped in the middle of a publication.
        """
        tensors = _tensors(state)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            before = int(self._version[0])
            if before % 2 == 0:
                for shared, tensor in zip(self._contents.params, tensors, strict=True):
                    tensor.copy_(shared)
                if int(self._version[0]) == before:
                    return before // 2
            time.sleep(1e-4)
        raise RlpytError("worker", f"no whole set of parameters came within {timeout:g} s")


def _tensors(state: Mapping[str, Any]) -> list[Tensor]:
    """The tensors of nested dicts, in order; numbers and strings among them are not shared."""
    found: list[Tensor] = []
    for value in state.values():
        if isinstance(value, Mapping):
            found += _tensors(value)
        elif isinstance(value, Tensor):
            found.append(value)
    return found
