"""The device layer: the one place where a kind of accelerator is chosen."""

from typing import Any

import torch

from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.errors import RlpytError

__all__ = ["pinned_like", "resolve_device"]


def resolve_device(device: str) -> torch.device:
    """``"auto"`` is this machine's accelerator where it has one, else the CPU; other names are
    torch's.

    Raises:
        RlpytError: for a device that is unknown or not here.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if device == "auto":
        return torch.device("cpu") if accelerator is None else accelerator
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise RlpytError(
            "device", f"unknown device {device!r}", hint='use "auto" or "cpu"'
        ) from error
    if found.type != "cpu" and (accelerator is None or accelerator.type != found.type):
        here = "cpu" if accelerator is None else f"cpu, {accelerator.type}"
        raise RlpytError("device", f"device {device!r} is not here", hint=f"here: {here}")
    return found


def pinned_like(tree: Any) -> Any:
    """Tensors of the same shapes and dtypes in page-locked memory, which the accelerator reads
    without a copy in between; in ordinary memory where there is none.
    """
    pin = torch.accelerator.current_accelerator(check_available=True) is not None
    return buffer_map(lambda leaf: torch.empty(leaf.shape, dtype=leaf.dtype, pin_memory=pin), tree)
