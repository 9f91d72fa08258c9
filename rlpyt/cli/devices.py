"""``rlpyt devices``: what is there to compute on?"""

import argparse
import json
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlpyt.cli.command import Command, one_line
from rlpyt.utils.device import Devices, describe_devices

__all__ = ["COMMAND"]

_GIB = 2**30


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    devices = describe_devices()
    if args.json:
        print(json.dumps(asdict(devices), indent=2))
    else:
        _print(devices, Console(highlight=False))
    return 0


def _print(devices: Devices, console: Console) -> None:
    table = Table("device", "what it is", "memory", box=box.SIMPLE_HEAD, pad_edge=False)
    cpus = devices.cpus
    limits = f" ({'; '.join(cpus.limits)})" if cpus.limits else ""
    table.add_row("cpu", escape(f"{cpus.count} usable CPU{'s' * (cpus.count != 1)}{limits}"), "")
    for found in devices.accelerators:
        table.add_row(
            found.name, escape(found.model), _memory(found.memory_bytes, found.free_bytes)
        )
    console.print(table)
    here = [name for name, is_here in devices.collectives.items() if is_here]
    absent = [name for name, is_here in devices.collectives.items() if not is_here]
    lines = [
        f"torch: {devices.torch_version}, built for: {devices.torch_build}",
        *(f"{name}: {version or 'not installed'}" for name, version in devices.extensions.items()),
        f"between processes: {', '.join(here) or 'nothing'}; not here: {', '.join(absent) or '-'}",
    ]
    if devices.auto:
        lines.append(f"--device auto is {devices.auto}")
    else:
        lines.append(f"--device auto fails: {one_line(devices.problem)}")
    if not devices.accelerators:
        lines += ["no accelerator was found. For one:"]
        lines += [f"  {name}: {remedy}" for name, remedy in devices.remedies.items()]
    for line in lines:
        console.print(escape(line), soft_wrap=True)


def _memory(total: int | None, free: int | None) -> str:
    if total is None or free is None:
        return ""
    return f"{total / _GIB:.1f} GiB, {free / _GIB:.1f} free"


COMMAND = Command(
    summary="list CPUs and accelerators",
    description=(
        "List what there is to compute on, by the names that --device takes: the CPUs that this\n"
        "process may use, each accelerator with its memory, the build of torch, how processes can\n"
        "talk to each other, and what --device auto chooses."
    ),
    examples="examples:\n  rlpyt devices\n  rlpyt devices --json",
    add_arguments=_add_arguments,
    run=_run,
)
