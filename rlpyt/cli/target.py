"""What ``rlpyt launch`` runs: algorithms by name, a function that returns a runner, or a script."""

import argparse
import importlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
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

__all__ = ["Target", "check_given_once", "env_override", "option_words", "run_options"]

_ENV_KEYS = ("env", "sampler.env", "env.id", "sampler.env.id")
_EXPERIMENTS = "EXPERIMENTS"  # of a file of experiments: name to function


@final
@dataclass(frozen=True)
class Target:
    """One of the three, as the command line names it; algorithms and functions may be several."""

    kind: Literal["algorithm", "experiment", "script"]
    path: str  # of the script, or the module; "" for algorithms
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``ppo,a2c``, ``module:function``, ``file.py:function,function`` or ``file.py``.

        Raises:
            RlpytError: ``usage``, for what is none of these or is not there.
        """
        path, colon, after = text.partition(":")
        if path.endswith(".py"):
            if not Path(path).is_file():
                raise RlpytError("usage", f"there is no script {path}", hint="give its path")
            path = str(Path(path).resolve())
        elif not colon:
            path, after = "", text
        names = tuple(after.split(","))
        if colon:
            return cls("experiment", path, names)
        if path:
            return cls("script", path, ())
        for name in names:
            if "/" in name or name in ("", ".", ".."):
                hint = "give an algorithm, file.py:function, a script, or a launch's directory"
                raise RlpytError("usage", f"there is nothing to launch at {name!r}", hint=hint)
            check_algorithm(name)
        return cls("algorithm", "", names)

    def __str__(self) -> str:
        return ":".join(filter(None, [self.path, ",".join(self.names)]))

    @property
    def title(self) -> str:
        """For the name of a directory."""
        return "-".join(self.names) or Path(self.path).stem

    @property
    def choice(self) -> dict[str, list[str]]:
        """Several names as a setting of a grid."""
        return {self.kind: list(self.names)} if len(self.names) > 1 else {}

    def chosen(self, variant: Mapping[str, Any]) -> str:
        """Which of the names a variant has; ``--grid algorithm=...`` may give others."""
        return str(variant.get(self.kind, self.names[0]))

    def build(
        self, variant: Mapping[str, Any], args: argparse.Namespace, overrides: list[str]
    ) -> BaseRunner:
        """The runner with the variant's settings, and those of the command line.

        The environment of an algorithm's runner chooses its defaults, and may be a key of the
        variant or of the overrides; so may the algorithm itself.

        Raises:
            RlpytError: for an unknown algorithm, environment or setting, or values that do not fit.
        """
        flat = flatten_config(variant)
        flat.pop(self.kind, None)
        if self.kind == "experiment":
            runner = self._experiment(self.chosen(variant))
            return apply_variant(with_options(runner, args, overrides), flat)
        given = dict(part.split("=", 1) for part in overrides)
        named = [flat.pop(key) for key in _ENV_KEYS if key in flat]
        named += [given.pop(key) for key in _ENV_KEYS if key in given]
        if not named:
            hint = "write --grid env=CartPole-v1,Acrobot-v1, or env=CartPole-v1"
            raise RlpytError("usage", "no environment is given", hint=hint)
        algorithm = self.chosen(variant)
        check_algorithm(algorithm)
        chosen = argparse.Namespace(**{**vars(args), "algorithm": algorithm, "env": named[0]})
        own = [f"{key}={value}" for key, value in given.items()]
        return apply_variant(build_runner(chosen, [*own, *_env_settings(flat)]), flat)

    def program(
        self, args: argparse.Namespace, overrides: list[str]
    ) -> tuple[list[str], list[str]]:
        """The command of a run, up to what the launcher gives it, and the arguments behind that.

        Raises:
            RlpytError: ``usage``, for options and overrides of a script.
        """
        words = [*option_words(args), *overrides]
        if self.kind != "script":
            return [sys.executable, "-m", "rlpyt.cli.launched"], [str(self), *words]
        if words:
            hint = "vary it by --grid or --space: a script reads variant_config.json"
            raise RlpytError("usage", f"a script has no {' '.join(words)}", hint=hint)
        return [sys.executable, self.path], []

    def _experiment(self, name: str) -> BaseRunner:
        module_name = self.path
        if self.path.endswith(".py"):
            folder, module_name = str(Path(self.path).parent), Path(self.path).stem
            if folder not in sys.path:
                sys.path.insert(0, folder)  # as Python does for a script
        try:
            module = vars(importlib.import_module(module_name))
        except ImportError as error:
            what = f"cannot import {module_name}: {error}"
            raise RlpytError("usage", what, hint="give the path of the file") from error
        functions = {**module, **module.get(_EXPERIMENTS, {})}
        function = functions.get(name)
        if not callable(function):
            known = [key for key, value in functions.items() if callable(value)]
            what = f"{self.path} has no function {name!r}"
            raise RlpytError("usage", what, hint=did_you_mean(name, known))
        runner = function()
        if not isinstance(runner, BaseRunner):
            what = f"{name}() of {self.path} returns {type(runner).__name__}, not a runner"
            raise RlpytError("usage", what, hint="return a MinibatchRl, SyncRl or AsyncRl")
        return runner


def _env_settings(flat: Mapping[str, Any]) -> list[str]:
    """Those of the environment itself, as overrides: its spaces may depend on them."""
    paths = {path: path.removeprefix("sampler.") for path in flat}
    return [
        f"sampler.{path}={json.dumps(flat[given])}"
        for given, path in paths.items()
        if path.startswith("env.")
    ]


def check_given_once(overrides: Sequence[str], varied: Iterable[str], option: str) -> None:
    """Raise ``usage`` where a setting is both the same in all runs and varied by ``option``."""
    known = {_plain_key(key) for key in varied}
    for override in overrides:
        if _plain_key(override.partition("=")[0]) in known:
            what = f"{override} is to be the same in all runs, and varied by {option}"
            raise RlpytError("usage", what, hint="leave out one of them")


def _plain_key(key: str) -> str:
    return "env" if key in _ENV_KEYS else key.removeprefix("sampler.")


def env_override(env: str | None) -> list[str]:
    """The second argument of a command, ENV, as an override; it may be one already."""
    if env is None:
        return []
    return [env if "=" in env else f"env={env}"]


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
