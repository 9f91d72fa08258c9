"""What the command lines of the benchmarks have in common."""

import argparse
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["add_json", "add_python", "interpreters", "write_json"]


def add_python(parser: argparse.ArgumentParser, whose: str, name: str = "NAME") -> None:
    """``--python``, whose words :func:`interpreters` reads."""
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar=f"{name}=PATH",
        help=f"the interpreter {whose}; may be repeated",
    )


def interpreters(
    pairs: Iterable[str], known: Collection[str], name: str = "NAME"
) -> dict[str, str]:
    """The interpreter of each name in ``pairs`` of ``NAME=PATH``.

    Raises:
        ValueError: for what is no such pair, or a name that is not ``known``.
    """
    found = {}
    for pair in pairs:
        word, separator, path = pair.partition("=")
        if not separator or word not in known:
            hint = f"give {name}=PATH with a {name} of {sorted(known)}"
            raise ValueError(f"--python {pair}: {hint}")
        found[word] = path
    return found


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``, for :func:`write_json`."""
    parser.add_argument("--json", type=Path, default=None, help="write all results here")


def write_json(path: Path | None, results: Mapping[str, Any]) -> None:
    """Write ``results`` where they are asked for."""
    if path is not None:
        path.write_text(json.dumps(results, indent=1), encoding="utf-8")
