"""Who takes part."""

from dataclasses import dataclass

from peers.alone import Entry
from peers.sampling.task import ENVIRONMENTS

__all__ = ["FIELD", "NEEDS", "SamplingEntry"]

# What an environment needs beside the library that steps it.
NEEDS = {
    "cartpole": "",
    "pong": " ale-py==0.12.1 opencv-python-headless==5.0.0.93",
    "halfcheetah": " mujoco==3.11.0 imageio==2.38.1",
}


@dataclass(frozen=True, kw_only=True)
class SamplingEntry(Entry):
    """One system in one variant."""

    back_end: str = "loop"  # whose limit it is measured by
    environments: tuple[str, ...] = ENVIRONMENTS
    policy: bool | None = None  # only with, only without; None: both

    def install_line(self, environment: str) -> str:
        """How to get it."""
        return f"pip install {self.install}{NEEDS[environment]}"


_WITH_NATIVE = ("cartpole", "pong")
_BACK_ENDS = (("loop", ENVIRONMENTS), ("native", _WITH_NATIVE), ("pool", ENVIRONMENTS))
_POOL = "envpool==1.2.5 gymnasium==1.4.0"
_GYMNASIUM = "gymnasium==1.4.0"
_SB3 = "stable-baselines3==2.9.2"
_BACK_END_LABELS = {"loop": "single envs", "native": "native env", "pool": "EnvPool env"}


def _limits() -> list[SamplingEntry]:
    found = [
        SamplingEntry(
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
    policy = SamplingEntry(
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


def _ours() -> list[SamplingEntry]:
    names = {"serial": "Serial", "cpu": "Cpu", "gpu": "Gpu", "alternating": "Alternating"}
    found = [
        SamplingEntry(
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
        SamplingEntry(
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


def _peer(
    name: str,
    label: str,
    module: str,
    variant: str,
    install: str,
    back_end: str = "loop",
    environments: tuple[str, ...] = ENVIRONMENTS,
) -> SamplingEntry:
    return SamplingEntry(
        name=name,
        label=label,
        role="peer",
        module=module,
        variant=variant,
        back_end=back_end,
        environments=environments,
        install=install,
    )


_PEERS = (
    _peer("gym-sync", "Gymnasium SyncVectorEnv", "gymnasium", "sync", _GYMNASIUM),
    _peer("gym-async", "Gymnasium AsyncVectorEnv", "gymnasium", "async", _GYMNASIUM),
    _peer(
        "gym-native",
        "Gymnasium vector entry point",
        "gymnasium",
        "native",
        _GYMNASIUM,
        "native",
        ("cartpole",),
    ),
    _peer("sb3-dummy", "SB3 DummyVecEnv", "stable_baselines3", "dummy", _SB3),
    _peer("sb3-subproc", "SB3 SubprocVecEnv", "stable_baselines3", "subproc", _SB3),
    _peer("envpool", "EnvPool", "envpool", "sync", _POOL, "pool"),
    _peer("envpool-async", "EnvPool, asynchronous", "envpool", "async", _POOL, "pool"),
    _peer("ale", "ALE vector env", "ale", "sync", _GYMNASIUM, "native", ("pong",)),
    _peer(
        "ale-async",
        "ALE vector env, asynchronous",
        "ale",
        "async",
        _GYMNASIUM,
        "native",
        ("pong",),
    ),
)

FIELD: tuple[SamplingEntry, ...] = (*_limits(), *_ours(), *_PEERS)
