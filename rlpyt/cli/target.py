"""What ``rlpyt launch`` runs: algorithms by name, a function that returns a runner, or a script."""

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, final

from rlpyt.cli.arguments import add_output_options
from rlpyt.cli.presets.registry import check_algorithm
from rlpyt.cli.train import add_runner_options, build_runner, with_options
from rlpyt.launch.variant import apply_variant
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.config import flatten_config
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["ALGORITHM_KEY", "Target", "option_words", "run_options"]

ALGORITHM_KEY = "algorithm"
"""The key of a variant that names an algorithm."""

_ENV_KEYS = ("env", "sampler.env", "env.id", "sampler.env.id")


@final
@dataclass(frozen=True)
class Target:
    """One of the three, as the command line names it."""

    kind: Literal["algorithm", "experiment", "script"]
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``ppo``, ``module:function``, ``file.py:function`` or ``file.py``.

        Raises:
            RlpytError: ``usage``, for what is none of these or is not there.
        """
        path, _, function = text.partition(":")
        if path.endswith(".py"):
            if not Path(path).is_file():
                raise RlpytError("usage", f"there is no script {path}", hint="give its path")
            return cls("experiment" if function else "script", text)
        if function:
            return cls("experiment", text)
        if "/" in text or text in ("", ".", ".."):
            hint = "give an algorithm, module:function, a script, or the directory of a launch"
            raise RlpytError("usage", f"there is nothing to launch at {text!r}", hint=hint)
        check_algorithm(text)
        return cls("algorithm", text)

    @property
    def title(self) -> str:
        """For the name of a directory, and of runs."""
        if self.kind == "algorithm":
            return self.name
        path, _, function = self.name.partition(":")
        return function or Path(path).stem

    def build(
        self, variant: Mapping[str, Any], args: argparse.Namespace, overrides: list[str]
    ) -> BaseRunner:
        """The runner with the variant's settings, and those of the command line.

        The environment of an algorithm's runner chooses its defaults, and may be a key of the
        variant or of the overrides; so may the algorithm itself.

        Raises:
            RlpytError: for an unknown algorithm, environment or setting, or values that do not fit.
        """
        if self.kind == "experiment":
            return apply_variant(with_options(self._experiment(), args, overrides), variant)
        flat = flatten_config(variant)
        flat.pop(ALGORITHM_KEY, None)
        given = dict(part.split("=", 1) for part in overrides)
        named = [flat.pop(key) for key in _ENV_KEYS if key in flat]
        named += [given.pop(key) for key in _ENV_KEYS if key in given]
        if not named:
            hint = "write --grid env=CartPole-v1,Acrobot-v1, or env=CartPole-v1"
            raise RlpytError("usage", "no environment is given", hint=hint)
        algorithm = variant.get(ALGORITHM_KEY, self.name)
        check_algorithm(str(algorithm))
        chosen = argparse.Namespace(**{**vars(args), "algorithm": algorithm, "env": named[0]})
        runner = build_runner(chosen, [f"{key}={value}" for key, value in given.items()])
        return apply_variant(runner, flat)

    def _experiment(self) -> BaseRunner:
        path, _, name = self.name.partition(":")
        folder, module_name = "", path
        if path.endswith(".py"):
            folder, module_name = str(Path(path).resolve().parent), Path(path).stem
            if folder not in sys.path:
                sys.path.insert(0, folder)  # as Python does for a script
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            what = f"cannot import {module_name}: {error}"
            raise RlpytError("usage", what, hint="give the path of the file") from error
        function: Callable[[], object] | None = vars(module).get(name)
        if not callable(function):
            known = [key for key, value in vars(module).items() if callable(value)]
            hint = did_you_mean(name, known)
            raise RlpytError("usage", f"{path} has no function {name!r}", hint=hint)
        runner = function()
        if not isinstance(runner, BaseRunner):
            what = f"{self.name}() returns {type(runner).__name__}, not a runner"
            raise RlpytError("usage", what, hint="return a MinibatchRl, SyncRl or AsyncRl")
        return runner


def _option_parser() -> argparse.ArgumentParser:
    """Reads the options of ``rlpyt train`` that every run of a launch may have."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_runner_options(parser)
    add_output_options(parser)
    return parser


def run_options(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options among ``words``, and the overrides."""
    return _option_parser().parse_known_args(list(words))


def option_words(args: argparse.Namespace) -> list[str]:
    """What :func:`run_options` reads as the options in ``args``; those at their default are left
    out.
    """
    words = []
    for action in _option_parser()._actions:  # argparse has no other way to list them
        value = getattr(args, action.dest, action.default)
        if value == action.default:
            continue
        option = action.option_strings[-1]
        if action.nargs == 0:
            words.append(option)
        else:
            many = value if isinstance(value, list) else [value]
            words += [part for one in many for part in (option, str(one))]
    return words
