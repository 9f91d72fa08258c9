"""Entry point of the ``rlpyt`` command: parse, dispatch, and turn errors into one line and an exit
code.
"""

import argparse
import sys
from collections.abc import Sequence

from rlpyt import __version__
from rlpyt.cli.commands import COMMANDS
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["main"]

_USAGE_ERROR = 2
_RUN_ERROR = 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlpyt",
        description="Deep reinforcement learning in PyTorch: train, resume, evaluate, compare.",
        epilog="`rlpyt COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"rlpyt {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.summary,
            description=command.description,
            epilog=command.examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run, parser=sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 when a run failed; 2 for a mistake on the command line, and then nothing was written;
        130 and 143 after SIGINT and SIGTERM.
    """
    namespace, rest = _parser().parse_known_args(argv)
    try:
        overrides = _overrides(namespace, rest)
        code: int = namespace.run(namespace, overrides)
    except RlpytError as error:
        print(error, file=sys.stderr)
        return _USAGE_ERROR if error.code in {"config", "usage", "space"} else _RUN_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return code


def _overrides(namespace: argparse.Namespace, rest: list[str]) -> list[str]:
    """``key=value`` arguments, wherever they stand; anything else left over is a mistake."""
    takes_overrides = COMMANDS[namespace.command].takes_overrides
    for word in rest:
        if word.startswith("-") or "=" not in word or not takes_overrides:
            options = [
                option for action in namespace.parser._actions for option in action.option_strings
            ]
            hint = did_you_mean(word.partition("=")[0], options) if word.startswith("-") else ""
            if not hint and takes_overrides:
                hint = "settings are written key=value, such as algo.learning_rate=1e-3"
            raise RlpytError("usage", f"unknown argument {word!r}", hint=hint)
    return rest


if __name__ == "__main__":
    sys.exit(main())
