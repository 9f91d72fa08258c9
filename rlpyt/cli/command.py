"""What a command of ``rlpyt`` is."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

__all__ = ["Command"]


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
