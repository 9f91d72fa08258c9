"""Variants: what is different about each experiment of a launch, as data and as directories.

Names, files and directories are those of rlpyt 0.1: a variant is the part of the configuration that
differs from the experiment's own, and stands as ``variant_config.json`` in a directory of its name;
the runs are below.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rlpyt.launch.json_file import json_value, read_json_object
from rlpyt.logging.files import directory_error, make_run_dir, write_atomic
from rlpyt.utils.config import flatten_config
from rlpyt.utils.errors import RlpytError, did_you_mean
from rlpyt.utils.overrides import apply_values

__all__ = [
    "VARIANT_FILE",
    "VariantLevel",
    "apply_variant",
    "load_variant",
    "make_variants",
    "save_variant",
    "update_config",
]

VARIANT_FILE = "variant_config.json"
"""Where a variant is written down, in the directory of its runs."""

Component = TypeVar("Component")

_SAFE_NAME = re.compile(r"[A-Za-z0-9_.=-]+")


class VariantLevel(NamedTuple):
    """Settings that vary together: ``values[i]`` has one for each key, in the directory
    ``dir_names[i]``.
    """

    keys: Sequence[Sequence[str]]  # paths: [("algo", "learning_rate"), ("sampler", "batch_B")]
    values: Sequence[Sequence[Any]]
    dir_names: Sequence[str]


def make_variants(*variant_levels: VariantLevel) -> tuple[list[dict[str, Any]], list[str]]:
    """All combinations of the levels' values, the last level varying fastest.

    Returns:
        Variants that share nothing, and the directory of each: ``"lr_0.001/pong"``.

    Raises:
        RlpytError: ``config``, for levels whose parts have different lengths, a setting that two
            levels vary, values that JSON does not have, and directories that are the same or whose
            names have other characters than ``A-Za-z0-9_.=-``.
    """
    for number, level in enumerate(variant_levels):
        _check_level(level, number)
    _check_keys([key for level in variant_levels for key in level.keys])
    variants: list[list[tuple[Sequence[str], Any]]] = [[]]
    log_dirs = [""]
    for level in variant_levels:
        choices = list(zip(level.values, level.dir_names, strict=True))
        variants = [
            [*settings, *zip(level.keys, values, strict=True)]
            for settings in variants
            for values, _ in choices
        ]
        log_dirs = [f"{log_dir}/{name}".lstrip("/") for log_dir in log_dirs for _, name in choices]
    return [_nested(settings) for settings in variants], log_dirs


def _check_level(level: VariantLevel, number: int) -> None:
    where = f"variant level {number}"
    if isinstance(level.values, str) or any(isinstance(row, str) for row in level.values):
        raise RlpytError("config", "values are text", where=where, hint='write [("pong",)]')
    if not level.keys or not level.values:
        raise RlpytError("config", "no keys, or no values", where=where)
    if len(level.values) != len(level.dir_names):
        what = f"{len(level.values)} values and {len(level.dir_names)} directory names"
        raise RlpytError("config", what, where=where, hint="give as many")
    for key in level.keys:
        if isinstance(key, str) or not key or not all(isinstance(part, str) for part in key):
            hint = 'write a path: ("algo", "learning_rate")'
            raise RlpytError("config", f"key {key!r}", where=where, hint=hint)
    for row in level.values:
        if len(row) != len(level.keys):
            what = f"{len(row)} values, {row!r:.80}, for {len(level.keys)} keys"
            raise RlpytError("config", what, where=where, hint="give one for each key")
    folded: dict[str, str] = {}
    for name in level.dir_names:
        if not _SAFE_NAME.fullmatch(name) or name in (".", ".."):
            what = f"directory name {name!r}"
            hint = "use letters, digits and _ . = - only"
            raise RlpytError("config", what, where=where, hint=hint)
        if name.casefold() in folded:  # where a disk does not tell them apart, they are the same
            what = f"directory names {folded[name.casefold()]!r} and {name!r} are the same"
            raise RlpytError("config", what, where=where, hint="give each its own")
        folded[name.casefold()] = name


def _check_keys(keys: Sequence[Sequence[str]]) -> None:
    """No setting is varied twice, as itself or as part of another."""
    for i, key in enumerate(keys):
        for other in keys[:i]:
            shorter, longer = sorted((tuple(key), tuple(other)), key=len)
            if longer[: len(shorter)] == shorter:
                both = {".".join(shorter): None, ".".join(longer): None}
                what = f"{' and '.join(both)} varied by two keys"
                raise RlpytError("config", what, hint="vary each setting once")


def _nested(settings: Sequence[tuple[Sequence[str], Any]]) -> dict[str, Any]:
    variant: dict[str, Any] = {}
    for key, value in settings:
        inner = variant
        for part in key[:-1]:
            inner = inner.setdefault(part, {})
        inner[key[-1]] = json_value(value, ".".join(key))
    return variant


def save_variant(variant: Mapping[str, Any], log_dir: Path | str) -> None:
    """Write ``variant_config.json`` into ``log_dir``, which is made: one line.

    Raises:
        RlpytError: ``config``, for what JSON does not have, before anything is made;
            ``directory``, where it cannot be written.
    """
    text = json.dumps(json_value(variant, ""))
    path = Path(log_dir) / VARIANT_FILE
    make_run_dir(path.parent)
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise directory_error(path, error) from error


def load_variant(log_dir: Path | str) -> dict[str, Any]:
    """What ``variant_config.json`` in ``log_dir`` says.

    Raises:
        RlpytError: ``config``, with the place of the mistake, for a file that is not there or not
            as :func:`save_variant` writes it.
    """
    return read_json_object(Path(log_dir) / VARIANT_FILE)


def update_config(default: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    """``default`` with what ``variant`` has instead, at any depth; both stay as they are, and the
    result shares no dict or list with them.

    Raises:
        RlpytError: ``config``, with the path of the key, for one that ``default`` does not have,
            and for a dict where that has none, or the reverse.
    """
    return _updated(default, variant, "")


def _updated(default: Mapping[str, Any], variant: Mapping[str, Any], path: str) -> dict[str, Any]:
    new = {key: _copied(value) for key, value in default.items()}
    for key, value in variant.items():
        place = f"{path}.{key}" if path else str(key)
        if key not in default:
            hint = did_you_mean(str(key), map(str, default)) if default else "it is empty"
            raise RlpytError("config", f"{place}: no key {key!r} in the default", hint=hint)
        old = default[key]
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            new[key] = _updated(old, value, place)
        elif isinstance(value, Mapping) or isinstance(old, Mapping):
            found, wanted = type(value).__name__, type(old).__name__
            what = f"{place} is {found} in the variant, and {wanted} in the default"
            raise RlpytError("config", what, hint=f"write {wanted}")
        else:
            new[key] = _copied(value)
    return new


def _copied(value: Any) -> Any:
    """New dicts, lists and sets; everything else is shared."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if type(value) is tuple or type(value) is list:
        return type(value)(_copied(item) for item in value)
    return set(value) if type(value) is set else value


def apply_variant(component: Component, variant: Mapping[str, Any]) -> Component:
    """A copy of a component, such as a runner, with the settings of ``variant``.

    ``env`` stands for ``sampler.env``.

    Raises:
        RlpytError: ``config``, with the path, for an unknown key or a wrong value.
    """
    return apply_values(component, dict(_paths(variant)))


def _paths(variant: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for path, value in flatten_config(variant).items():
        is_env = path == "env" or path.startswith("env.")
        yield f"sampler.{path}" if is_env else path, value
