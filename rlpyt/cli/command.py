"""What a command of ``rlpyt`` is, and how it fails."""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from rlpyt.utils.errors import RlpytError

__all__ = ["RUN_ERROR", "USAGE_ERROR", "Command", "one_line", "print_error"]

RUN_ERROR = 1
"""Exit code where a run failed."""

USAGE_ERROR = 2
"""Exit code for a mistake on the command line."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@final
@dataclass(frozen=True, kw_only=True)
class Command:
    """A command's texts, its arguments, and the function that runs it and returns the exit code."""

    summary: str
    description: str
    examples: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, list[str]], int]  # parsed arguments, key=value overrides
    takes_overrides: bool = False


def one_line(text: str) -> str:
    """``text`` without colours and line breaks."""
    return " ".join(_COLOURS.sub("", text).split())


def print_error(error: RlpytError) -> None:
    """Show an error as one line on stderr."""
    print(one_line(str(error)), file=sys.stderr)
