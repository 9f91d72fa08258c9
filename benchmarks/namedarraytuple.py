"""What a NamedArrayTuple costs: microseconds to index, assign and read a field of a 3-field
struct.

    python benchmarks/namedarraytuple.py [--repeat 100] [--json out.json]

Beside it: ``typing.NamedTuple`` and ``dict``, where indexing means a comprehension over the
fields, and TensorDict where it is installed. The targets are for the numpy struct: 1.2 µs to
index, 1.2 µs to assign, 0.2 µs to read a field. Each figure is the best of ``--repeat`` short
timings, the call of a lambda included.
"""

import argparse
import importlib.util
import sys
import timeit
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from peers.options import add_json, write_json
from rich.console import Console
from rich.table import Table

from rlpyt.utils.collections import NamedArrayTuple

TARGETS = {"index": 1.2, "assign": 1.2, "field": 0.2}  # µs, numpy
SHAPES = {"observation": (128, 8, 4), "action": (128, 8), "reward": (128, 8)}
WHERE = 3  # the step that is read and written

Operations = dict[str, Callable[[], Any]]


class Step(NamedArrayTuple):
    """Ours."""

    observation: Any
    action: Any
    reward: Any


class PlainStep(NamedTuple):
    """Python's own."""

    observation: Any
    action: Any
    reward: Any


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=100)
    add_json(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console() if sys.stdout.isatty() else Console(width=120)
    figures: dict[str, dict[str, float]] = {}
    for kind, make in (("numpy", np.zeros), ("torch", torch.zeros)):
        fields = {name: make(shape) for name, shape in SHAPES.items()}
        for struct, operations in contenders(kind, fields).items():
            figures[f"{struct}, {kind}"] = {
                name: microseconds(run, arguments.repeat) for name, run in operations.items()
            }
    console.print(as_table(figures))
    write_json(arguments.json, {"targets": TARGETS, "us": figures})


def contenders(kind: str, fields: dict[str, Any]) -> dict[str, Operations]:
    found = {
        "NamedArrayTuple": of_ours(Step(**fields)),
        "typing.NamedTuple": of_plain(PlainStep(**fields)),
        "dict": of_dict(fields),
    }
    if kind == "torch" and importlib.util.find_spec("tensordict") is not None:
        found["TensorDict"] = of_tensordict(fields)
    return found


def of_ours(struct: Step) -> Operations:
    value = struct[WHERE]

    def assign() -> None:
        struct[WHERE] = value

    return {
        "index": lambda: struct[WHERE],
        "assign": assign,
        "field": lambda: struct.reward,
    }


def of_plain(struct: PlainStep) -> Operations:
    value = PlainStep(*[field[WHERE] for field in struct])

    def assign() -> None:
        for field, new in zip(struct, value, strict=True):
            field[WHERE] = new

    return {
        "index": lambda: PlainStep(*[field[WHERE] for field in struct]),
        "assign": assign,
        "field": lambda: struct.reward,
    }


def of_dict(struct: dict[str, Any]) -> Operations:
    value = {name: field[WHERE] for name, field in struct.items()}

    def assign() -> None:
        for name, field in struct.items():
            field[WHERE] = value[name]

    return {
        "index": lambda: {name: field[WHERE] for name, field in struct.items()},
        "assign": assign,
        "field": lambda: struct["reward"],
    }


def of_tensordict(fields: dict[str, Any]) -> Operations:
    # A package that need not be there.
    from tensordict import TensorDict

    struct = TensorDict(fields, batch_size=[128, 8])
    value = struct[WHERE].clone()

    def assign() -> None:
        struct[WHERE] = value

    return {
        "index": lambda: struct[WHERE],
        "assign": assign,
        "field": lambda: struct["reward"],
    }


def microseconds(run: Callable[[], Any], repeat: int) -> float:
    timer = timeit.Timer(run)
    number = max(
        1, timer.autorange()[0] // 50
    )  # a few milliseconds: short enough to be undisturbed
    return 1e6 * min(timer.repeat(repeat, number)) / number


def as_table(figures: dict[str, dict[str, float]]) -> Table:
    table = Table(title="µs per operation on a struct of three arrays")
    table.add_column("struct")
    for name in TARGETS:
        table.add_column(name, justify="right")
    for struct, row in figures.items():
        table.add_row(struct, *(f"{row[name]:.2f}" for name in TARGETS))
    table.add_section()
    table.add_row("target, numpy", *(f"{target:.2f}" for target in TARGETS.values()))
    return table


if __name__ == "__main__":
    main()
