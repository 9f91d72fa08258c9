"""Who takes part."""

from dataclasses import dataclass

from peers.replay.task import KINDS

__all__ = ["FIELD", "Entry", "chosen"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One replay in one variant."""

    name: str  # for --only
    label: str
    role: str  # "limit", "ours" or "peer"
    module: str  # in peers/replay/
    variant: str
    kinds: tuple[str, ...] = KINDS
    install: str = "."


_SB3 = "stable-baselines3==2.9.2"
_TIANSHOU = "tianshou==2.0.1 gymnasium==1.4.0"
_TORCHRL = "torchrl==0.14.1 gymnasium==1.4.0"
_UNIFORM = ("uniform",)
_TRANSITIONS = ("uniform", "prioritized")


def _entry(
    role: str, module: str, variant: str, label: str, kinds: tuple[str, ...], install: str = "."
) -> Entry:
    name = {"ours": "rlpyt", "stable_baselines3": "sb3", "copying": "copy"}.get(module, module)
    return Entry(
        name=f"{name}-{variant}",
        label=label,
        role=role,
        module=module,
        variant=variant,
        kinds=kinds,
        install=install,
    )


FIELD: tuple[Entry, ...] = (
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


def chosen(words: list[str] | None) -> list[Entry]:
    """The entries that ``words`` name, each an entry's name or its role; ``None``: all.

    Raises:
        ValueError: for a word that is neither.
    """
    if words is None:
        return list(FIELD)
    known = {entry.name for entry in FIELD} | {entry.role for entry in FIELD}
    if unknown := [word for word in words if word not in known]:
        raise ValueError(f"unknown: {', '.join(unknown)}; choose from {', '.join(sorted(known))}")
    return [entry for entry in FIELD if entry.name in words or entry.role in words]
