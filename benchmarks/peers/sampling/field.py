"""Who takes part."""

from dataclasses import dataclass

from peers.sampling.task import ENVIRONMENTS

__all__ = ["FIELD", "NEEDS", "Entry", "chosen"]

# What an environment needs beside the library that steps it.
NEEDS = {
    "cartpole": "",
    "pong": " ale-py==0.12.1 opencv-python-headless==5.0.0.93",
    "halfcheetah": " mujoco==3.11.0 imageio==2.38.1",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One system in one variant."""

    name: str  # for --only
    label: str
    role: str  # "limit", "ours" or "peer"
    module: str  # in peers/sampling/
    variant: str = ""
    back_end: str = "loop"  # whose limit it is measured by
    environments: tuple[str, ...] = ENVIRONMENTS
    install: str = ""
    policy: bool | None = None  # only with, only without; None: both

    def install_line(self, environment: str) -> str:
        """How to get it."""
        return f"pip install {self.install}{NEEDS[environment]}"


_WITH_NATIVE = ("cartpole", "pong")
_BACK_ENDS = (("loop", ENVIRONMENTS), ("native", _WITH_NATIVE), ("pool", ENVIRONMENTS))
_POOL = "envpool==1.2.5 gymnasium==1.4.0"
_GYMNASIUM = "gymnasium==1.4.0"
_BACK_END_LABELS = {"loop": "single envs", "native": "native env", "pool": "EnvPool env"}


def _limits() -> list[Entry]:
    found = [
        Entry(
            name=f"raw-{back_end}{suffix}",
            label=f"bare {_BACK_END_LABELS[back_end]}, {words}",
            role="limit",
            module="raw",
            variant=f"{back_end}:{processes}",
            back_end=back_end,
            environments=environments,
            install=_POOL if back_end == "pool" else _GYMNASIUM,
            policy=False,
        )
        for back_end, environments in _BACK_ENDS
        for suffix, processes, words in (
            ("-1", "1", "1 process"),
            ("", "all", "a process per core"),
        )
    ]
    policy = Entry(
        name="raw-policy",
        label="network alone, a process per core",
        role="limit",
        module="raw",
        variant="policy:all",
        back_end="policy",
        install=_GYMNASIUM,
        policy=True,
    )
    return [*found, policy]


def _ours() -> list[Entry]:
    names = {"serial": "Serial", "cpu": "Cpu", "gpu": "Gpu", "alternating": "Alternating"}
    found = [
        Entry(
            name=f"{kind}-{back_end}",
            label=f"{name}Sampler, {_BACK_END_LABELS[back_end]}",
            role="ours",
            module="ours",
            variant=f"{kind}:{back_end}",
            back_end=back_end,
            environments=environments,
            install="." if back_end != "pool" else "'.[envpool]'",
        )
        for kind, name in names.items()
        for back_end, environments in _BACK_ENDS
    ]
    each = [
        Entry(
            name=f"{kind}-each",
            label=f"{names[kind]}Sampler, a worker per env",
            role="ours",
            module="ours",
            variant=f"{kind}:loop:each",
            install=".",
        )
        for kind in ("cpu", "gpu")
    ]
    return [*found, *each]


_PEERS = (
    Entry(
        name="gym-sync",
        label="Gymnasium SyncVectorEnv",
        role="peer",
        module="gymnasium",
        variant="sync",
        install=_GYMNASIUM,
    ),
    Entry(
        name="gym-async",
        label="Gymnasium AsyncVectorEnv",
        role="peer",
        module="gymnasium",
        variant="async",
        install=_GYMNASIUM,
    ),
    Entry(
        name="gym-native",
        label="Gymnasium vector entry point",
        role="peer",
        module="gymnasium",
        variant="native",
        back_end="native",
        environments=("cartpole",),
        install=_GYMNASIUM,
    ),
    Entry(
        name="sb3-dummy",
        label="SB3 DummyVecEnv",
        role="peer",
        module="stable_baselines3",
        variant="dummy",
        install="stable-baselines3==2.9.2",
    ),
    Entry(
        name="sb3-subproc",
        label="SB3 SubprocVecEnv",
        role="peer",
        module="stable_baselines3",
        variant="subproc",
        install="stable-baselines3==2.9.2",
    ),
    Entry(
        name="envpool",
        label="EnvPool",
        role="peer",
        module="envpool",
        variant="sync",
        back_end="pool",
        install=_POOL,
    ),
    Entry(
        name="envpool-async",
        label="EnvPool, asynchronous",
        role="peer",
        module="envpool",
        variant="async",
        back_end="pool",
        install=_POOL,
    ),
    Entry(
        name="ale",
        label="ALE vector env",
        role="peer",
        module="ale",
        variant="sync",
        back_end="native",
        environments=("pong",),
        install=_GYMNASIUM,
    ),
    Entry(
        name="ale-async",
        label="ALE vector env, asynchronous",
        role="peer",
        module="ale",
        variant="async",
        back_end="native",
        environments=("pong",),
        install=_GYMNASIUM,
    ),
)

FIELD: tuple[Entry, ...] = (*_limits(), *_ours(), *_PEERS)


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
