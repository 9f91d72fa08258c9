"""The command line: what each command of ``rlpyt`` reads, does and prints."""

from rlpyt.cli.commands import COMMANDS

__all__ = ["COMMANDS"]
