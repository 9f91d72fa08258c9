"""Target networks, which follow the online ones."""

from typing import final

import torch

__all__ = ["TargetUpdate"]


@final
class TargetUpdate:
    """θ⁻ ← θ⁻ + τ (θ - θ⁻), buffers as they are in the online network; what both have in common
    is left alone.

    Which tensors those are is looked up once: that takes longer than the arithmetic of a small
    network.
    """

    def __init__(self, target: torch.nn.Module, online: torch.nn.Module) -> None:
        pairs = zip(target.parameters(), online.parameters(), strict=True)
        self._parameters = [
            (slow.detach(), fast.detach()) for slow, fast in pairs if slow is not fast
        ]
        self._buffers = list(zip(target.buffers(), online.buffers(), strict=True))

    def step(self, tau: float) -> None:
        """Go ``tau`` of the way; 1: become the online network."""
        for slow, fast in self._parameters:
            if tau == 1.0:
                slow.copy_(fast)
            else:
                slow.lerp_(fast, tau)
        for kept, new in self._buffers:
            kept.copy_(new)
