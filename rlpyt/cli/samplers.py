"""Which sampler: ``--sampler`` and ``--workers``."""

import argparse
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType

from rlpyt.cli.arguments import positive
from rlpyt.samplers.alternating import AlternatingSampler
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.cpu import CpuSampler
from rlpyt.samplers.gpu import GpuSampler
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError

__all__ = ["SAMPLERS", "add_sampler_options", "as_sampler", "chosen_sampler"]

SAMPLERS: Mapping[str, type[BaseSampler]] = MappingProxyType(
    {
        "serial": SerialSampler,
        "cpu": CpuSampler,
        "gpu": GpuSampler,
        "alternating": AlternatingSampler,
    }
)
"""Name on the command line to class."""


def add_sampler_options(parser: argparse.ArgumentParser) -> None:
    """Declare ``--sampler`` and ``--workers``."""
    parser.add_argument(
        "--sampler",
        choices=list(SAMPLERS),
        help="who steps the environments: this process; workers that also act (cpu); workers for "
        "which the agent acts at once (gpu), or in turn for two halves (alternating)",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="worker processes (default: from the CPUs); without --sampler, of the run's own "
        "sampler, or of the cpu sampler where that has none",
    )


def chosen_sampler(sampler: BaseSampler, args: argparse.Namespace) -> BaseSampler:
    """``sampler`` as the options want it.

    Raises:
        RlpytError: for workers of a sampler that has none.
    """
    kind = args.sampler
    if kind is None:
        if not args.workers:
            return sampler
        own = next(name for name, cls in SAMPLERS.items() if cls is type(sampler))
        kind = "cpu" if own == "serial" else own
    if kind == "serial" and args.workers:
        hint = "use --sampler cpu, gpu or alternating"
        raise RlpytError("usage", "the serial sampler has no workers", hint=hint)
    return as_sampler(sampler, kind, args.workers)


def as_sampler(sampler: BaseSampler, kind: str, n_workers: int | None = None) -> BaseSampler:
    """A sampler of another kind with what both have in common."""
    cls = SAMPLERS[kind]
    known = {field.name for field in fields(cls) if field.init}
    common = {
        field.name: getattr(sampler, field.name) for field in fields(sampler) if field.name in known
    }
    if n_workers is not None:
        common["n_workers"] = n_workers
    return cls(**common)
