"""Who takes part."""

from dataclasses import dataclass

from peers.alone import Entry
from peers.replay.task import KINDS

__all__ = ["FIELD", "ReplayEntry"]


@dataclass(frozen=True, kw_only=True)
class ReplayEntry(Entry):
    """One replay in one variant."""

    kinds: tuple[str, ...]


_SB3 = "stable-baselines3==2.9.2"
_TIANSHOU = "tianshou==2.0.1 gymnasium==1.4.0"
_TORCHRL = "torchrl==0.14.1 gymnasium==1.4.0"
_UNIFORM = ("uniform",)
_TRANSITIONS = ("uniform", "prioritized")


def _entry(
    role: str, module: str, variant: str, label: str, kinds: tuple[str, ...], install: str = "."
) -> ReplayEntry:
    name = {"ours": "rlpyt", "stable_baselines3": "sb3", "copying": "copy"}.get(module, module)
    return ReplayEntry(
        name=f"{name}-{variant}",
        label=label,
        role=role,
        module=module,
        variant=variant,
        kinds=kinds,
        install=install,
    )


FIELD: tuple[ReplayEntry, ...] = (
    _entry("limit", "copying", "frames", "copy alone, frames", _UNIFORM),
    _entry("limit", "copying", "arrays", "copy alone, stacks", _UNIFORM),
    _entry("ours", "ours", "frames", "rlpyt FrameStorage", KINDS),
    _entry("ours", "ours", "arrays", "rlpyt ArrayStorage", KINDS),
    _entry("peer", "stable_baselines3", "plain", "SB3 ReplayBuffer", _UNIFORM, _SB3),
    _entry("peer", "stable_baselines3", "optimized", "SB3, optimize_memory_usage", _UNIFORM, _SB3),
    _entry("peer", "tianshou", "plain", "Tianshou", _TRANSITIONS, _TIANSHOU),
    _entry("peer", "tianshou", "stacked", "Tianshou, stack_num=4", _TRANSITIONS, _TIANSHOU),
    _entry("peer", "torchrl", "tensor", "TorchRL LazyTensorStorage", KINDS, _TORCHRL),
    _entry("peer", "torchrl", "memmap", "TorchRL LazyMemmapStorage", KINDS, _TORCHRL),
)
