"""Entry point of the ``rlpyt`` command: parse, dispatch, and turn errors and warnings into one line
each.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TextIO, final

from rlpyt import __version__
from rlpyt.cli.arguments import help_formatter
from rlpyt.cli.command import RUN_ERROR, USAGE_ERROR, one_line, print_error
from rlpyt.cli.commands import COMMANDS
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["command_parser", "main", "run_program"]

_USAGE_CODES = frozenset({"affinity", "config", "device", "plot", "space", "usage"})


@final
class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for every error, where argparse would print its usage and exit."""
        raise RlpytError("usage", message, hint=f"see `{self.prog} --help`")


def command_parser() -> argparse.ArgumentParser:
    """Of the whole command line, its subcommands included."""
    width = max(map(len, COMMANDS))
    summaries = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    parser = _Parser(
        prog="rlpyt",
        description="Deep reinforcement learning in PyTorch: train, resume, evaluate, compare.",
        epilog="\n".join(
            ["commands:", *summaries, "", "`rlpyt COMMAND --help` explains one and shows examples."]
        ),
        formatter_class=help_formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"rlpyt {__version__}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS
    )
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            description=command.description,
            epilog=command.examples,
            formatter_class=help_formatter,
            allow_abbrev=False,
        )
        command.add_arguments(sub)
        if command.takes_overrides:
            sub.usage = f"{sub.format_usage().removeprefix('usage: ').rstrip()} [key=value ...]"
        sub.set_defaults(run=command.run, parser=sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 when a run failed; 2 for a mistake on the command line, and then nothing was written.

    Raises:
        SystemExit: 130 and 143 after SIGINT and SIGTERM, 0 after ``--help``.
    """
    words = list(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        _check_command(words)
        namespace, rest = command_parser().parse_known_args(words)
        code: int = namespace.run(namespace, _overrides(namespace, rest))
        return code

    return run_program(run)


def run_program(run: Callable[[], int]) -> int:
    """The exit code of ``run``; its errors and warnings are shown as one line each."""
    try:
        with _one_line_warnings(), _current_directory_importable():
            return run()
    except RlpytError as error:
        print_error(error)
        return USAGE_ERROR if error.code in _USAGE_CODES else RUN_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _check_command(words: list[str]) -> None:
    """Raise for a first word that is no command, with the nearest one."""
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        hint = did_you_mean(words[0], COMMANDS)
        raise RlpytError("usage", f"unknown command {words[0]!r}", hint=hint)


def _overrides(namespace: argparse.Namespace, rest: list[str]) -> list[str]:
    """``key=value`` arguments, wherever they stand; anything else left over is a mistake."""
    takes_overrides = COMMANDS[namespace.command].takes_overrides
    for word in rest:
        if word.startswith("-") or "=" not in word or not takes_overrides:
            what = f"unknown argument {word!r}"
            raise RlpytError("usage", what, hint=_hint(namespace.parser, word, takes_overrides))
    return rest


def _hint(parser: argparse.ArgumentParser, word: str, takes_overrides: bool) -> str:
    if word.startswith("--") and takes_overrides and "." in word.partition("=")[0]:
        return f"settings are written without dashes: {word.lstrip('-').partition('=')[0]}=..."
    if word.startswith("-"):
        options = [option for action in parser._actions for option in action.option_strings]
        return did_you_mean(word.partition("=")[0], options)
    if takes_overrides:
        return "settings are written key=value, such as algo.learning_rate=1e-3"
    return f"see `{parser.prog} --help`"


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Show each warning as one line without the code that gave it."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = one_line(str(message)).removeprefix("WARN: ")  # as Gymnasium begins its own
        print(f"WARNING: {text}", file=sys.stderr if file is None else file)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    """Let ``module:callable`` name a module of the current directory, as ``python -m`` does."""
    here = str(Path.cwd())
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


if __name__ == "__main__":
    sys.exit(main())
