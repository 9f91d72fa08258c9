"""Target networks, which follow the online ones."""

import torch

__all__ = ["update_target"]


@torch.no_grad()
def update_target(target: torch.nn.Module, online: torch.nn.Module, tau: float) -> None:
    """θ⁻ ← θ⁻ + τ (θ - θ⁻), buffers as they are in the online network."""
    pairs = zip(target.parameters(), online.parameters(), strict=True)
    for slow, fast in pairs:
        if tau == 1.0:
            slow.copy_(fast)
        else:
            slow.lerp_(fast, tau)
    for kept, new in zip(target.buffers(), online.buffers(), strict=True):
        kept.copy_(new)
