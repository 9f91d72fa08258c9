"""A grid of settings: every combination, with several seeds, checked before anything starts."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from rlpyt.envs.build import EnvConfig
from rlpyt.envs.envpool import is_envpool
from rlpyt.envs.gym import find_spec, named_callable
from rlpyt.launch.json_file import json_value
from rlpyt.launch.variant import VariantLevel, apply_variant, make_variants
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.config import config_value
from rlpyt.utils.errors import RlpytError

__all__ = ["Grid", "GridRun", "grid"]

_LONGEST = 60  # characters of a value in a directory name


class GridRun(NamedTuple):
    """One run of a grid."""

    variant: dict[str, Any]
    log_dir: str  # of the variant, below the experiment's
    run_ID: int  # its seed


@final
@dataclass(frozen=True)
class Grid:
    """Variants times seeds; make one with :func:`grid`."""

    levels: tuple[VariantLevel, ...]
    seeds: tuple[int, ...]

    @property
    def paths(self) -> list[str]:
        """The settings that it varies."""
        return [".".join(key) for level in self.levels for key in level.keys]

    @property
    def variants(self) -> list[dict[str, Any]]:
        """What is different about each, nested by the parts of the keys."""
        return make_variants(*self.levels)[0]

    @property
    def log_dirs(self) -> list[str]:
        """The directory of each: ``"learning_rate=0.001/env=ALE-Pong-v5"``; ``""`` without keys."""
        return make_variants(*self.levels)[1]

    def __len__(self) -> int:
        return math.prod(len(level.values) for level in self.levels) * len(self.seeds)

    def __iter__(self) -> Iterator[GridRun]:
        """All variants with the first seed, then all with the second, and so on."""
        for seed in self.seeds:
            for variant, log_dir in zip(*make_variants(*self.levels), strict=True):
                yield GridRun(variant, log_dir, seed)

    def check(self, runner: BaseRunner) -> None:
        """Raise where a variant is none of ``runner``, before anything starts; see
        :meth:`check_each`.
        """
        self.check_each(lambda variant: apply_variant(runner, variant))

    def check_each(self, build: Callable[[dict[str, Any]], BaseRunner]) -> list[BaseRunner]:
        """Build every variant's runner, before anything starts; returned in their order.

        Raises:
            RlpytError: naming the setting's path and the variant, for an unknown key ("did you
                mean"), a value of the wrong type, a number that no run can have, and an environment
                that is not registered.
        """
        known: set[str] = set()
        runners = []
        for variant, log_dir in zip(*make_variants(*self.levels), strict=True):
            try:
                changed = build(variant)
                changed.check()
                runners.append(changed)
                env = EnvConfig.of(changed.sampler.env).id
                if isinstance(env, str) and env not in known:
                    _check_env(env)
                    known.add(env)
            except RlpytError as error:
                where = "; ".join(filter(None, [error.where, log_dir and f"variant {log_dir}"]))
                raise RlpytError(error.code, error.what, where=where, hint=error.hint) from error
        return runners


def grid(*, seeds: int | Sequence[int] = 1, **settings: Sequence[Any]) -> Grid:
    """Every combination of the settings, each with as many runs as ``seeds``.

    ``grid(algo__learning_rate=[1e-3, 3e-4], env=["ALE/Pong-v5", "ALE/Breakout-v5"], seeds=5)`` are
    20 runs: two underscores are the dot of ``algo.learning_rate``, and ``env`` stands for
    ``sampler.env``. A name with dots can be given by ``**{"algo.learning_rate": [...]}``.

    Args:
        seeds: how many, from 0; or which.
        settings: the values of each.

    Raises:
        RlpytError: ``config``, with the setting's path, for values that are no list, none or the
            same, that JSON does not have, or whose directories would have the same name; and for
            seeds that are no whole numbers from 0.
    """
    paths: dict[str, Sequence[Any]] = {}
    for name, values in settings.items():
        path = name.replace("__", ".")
        if path in paths:
            raise RlpytError("config", f"{path} is given twice", hint="give it once")
        paths[path] = values
    names = _short_names(list(paths))
    levels = [_level(path, values, names[path]) for path, values in paths.items()]
    found = Grid(tuple(levels), _seeds(seeds))
    make_variants(*found.levels)
    return found


def _level(path: str, values: Sequence[Any], name: str) -> VariantLevel:
    parts = path.split(".")
    if not all(part.strip() for part in parts):
        raise RlpytError("config", f"malformed path {path!r}", hint="write algo__learning_rate")
    if path == "seed":
        raise RlpytError("config", "seed is no setting of a grid", hint="write seeds=[...]")
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        what = f"{path}={values!r:.80} is no list of values"
        raise RlpytError("config", what, hint=f"write {path.replace('.', '__')}=[...]")
    if not values:
        raise RlpytError("config", f"{path}=[] has no values", hint="give one or more")
    chosen = [json_value(_as_data(value), path) for value in values]
    dir_names = [f"{name}={_safe_text(value)}" for value in chosen]
    for i, value in enumerate(chosen):
        for j in range(i):
            if dir_names[i].casefold() == dir_names[j].casefold():
                same = type(value) is type(chosen[j]) and value == chosen[j]
                what = f"{path}: {chosen[j]!r:.60} and {value!r:.60} "
                what += "are the same" if same else f"would share the directory {dir_names[i]}"
                hint = "give each value once" if same else "use make_variants, and name them"
                raise RlpytError("config", what, hint=hint)
    return VariantLevel([parts], [(value,) for value in chosen], dir_names)


def _as_data(value: Any) -> Any:
    """A class or function by its name, which is found again when the variant is applied."""
    return config_value(value) if callable(value) else value


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if seeds < 1:
            raise RlpytError("config", f"seeds={seeds}", hint="use 1 or more")
        return tuple(range(seeds))
    hint = "give a number of seeds, or different whole numbers from 0"
    if isinstance(seeds, str | bool) or not isinstance(seeds, Sequence) or not seeds:
        raise RlpytError("config", f"seeds={seeds!r:.80}", hint=hint)
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise RlpytError("config", f"seeds: {seed!r:.40}", hint=hint)
    if len(set(seeds)) < len(seeds):
        raise RlpytError("config", f"seeds={list(seeds)!r:.80} has one twice", hint=hint)
    return tuple(seeds)


def _short_names(paths: list[str]) -> dict[str, str]:
    """The last parts of each path: as few as tell them apart."""
    names = {}
    for path in paths:
        parts = path.split(".")
        ends = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
        others = [f".{other}" for other in paths if other != path]
        short = next((end for end in ends if not any(o.endswith(f".{end}") for o in others)), path)
        names[path] = re.sub(r"[^A-Za-z0-9_.-]+", "-", short)
    return names


def _safe_text(value: Any) -> str:
    """``value`` in characters that any disk takes: ``0.001``, ``ALE-Pong-v5``, ``64_64``."""
    text = _text(value)
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    return f"{text[: _LONGEST - 9]}-{digest[:8]}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "_".join(_text(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return "_".join(f"{_text(key)}={_text(item)}" for key, item in value.items()) or "none"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return re.sub(r"[^A-Za-z0-9_.=-]+", "-", str(value).replace("+", "")) or "empty"


def _check_env(env: str) -> None:
    """Raise for an environment that there is not; none is made."""
    if not is_envpool(env) and named_callable(env) is None:
        find_spec(env)
