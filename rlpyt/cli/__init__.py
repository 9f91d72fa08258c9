"""The command line: ``rlpyt train``, ``resume``, ``eval``, ``hash``, ``plot``, ``env-check``."""

from rlpyt.cli.commands import COMMANDS

__all__ = ["COMMANDS"]
