"""JSON files that people write: read with the place of every mistake, written only when they can be
read again.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlpyt.utils.errors import RlpytError

__all__ = ["json_value", "read_json_object"]

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 50
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


class _Object(NamedTuple):
    """A JSON object as it stands in the file, with keys that may repeat."""

    pairs: list[tuple[str, Any]]


class _Constant(NamedTuple):
    """``NaN`` or ``Infinity``, which JSON does not have."""

    name: str


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in the file ``path``.

    Raises:
        RlpytError: ``config``, with ``file:line:column`` or the path of the key, for a file that is
            not there, is larger than 1 MB, nested deeper than 50, no JSON object, or that has a key
            twice, NaN or a number that is too large.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= _MAX_BYTES else b""
    except OSError as error:
        raise RlpytError("config", f"cannot read {path}: {error.strerror}") from error
    if size > _MAX_BYTES:
        what = f"{path} has {size:,} bytes, and settings at most {_MAX_BYTES:,}"
        raise RlpytError("config", what, hint="is it another file?")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        what = f"{path}: byte {error.start} is not UTF-8"
        raise RlpytError("config", what, hint="save it as UTF-8") from None
    _check_depth(text, path)
    found = _value(_parsed(text, path), "", str(path))
    if not isinstance(found, dict):
        what = f"{path} is not a JSON object but {type(found).__name__}"
        raise RlpytError("config", what, hint='write {"algo": {"learning_rate": 0.001}}')
    return found


def _check_depth(text: str, path: Path) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token.group() in "[{") - (token.group() in "]}")
        if depth > _MAX_DEPTH:
            what = f"{_place(text, token.start(), path)}: nested deeper than {_MAX_DEPTH}"
            raise RlpytError("config", what, hint="no setting is")


def _place(text: str, position: int, path: Path) -> str:
    line = text.count("\n", 0, position) + 1
    return f"{path}:{line}:{position - text.rfind(chr(10), 0, position)}"


def _parsed(text: str, path: Path) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_Object, parse_constant=_Constant)
    except json.JSONDecodeError as error:
        what = f"{_place(text, error.pos, path)}: not JSON: {error.msg}"
        hint = "the file is empty" if not text.strip() else "write double quotes, and close all"
        raise RlpytError("config", what, hint=hint) from None
    except ValueError as error:  # an integer of thousands of digits
        raise RlpytError("config", f"{path}: {error}", hint="write 1e6") from None


def _value(node: Any, key: str, where: str) -> Any:
    """``node`` as plain data; ``key`` is the path that leads to it."""
    if isinstance(node, _Object):
        for name, times in Counter(name for name, _ in node.pairs).items():
            if times > 1:
                what = f"{_inner(key, name)} is given {times} times"
                raise RlpytError("config", what, where=where, hint="keep one")
        return {name: _value(item, _inner(key, name), where) for name, item in node.pairs}
    if isinstance(node, list):
        return [_value(item, f"{key}[{i}]", where) for i, item in enumerate(node)]
    if isinstance(node, _Constant) or (isinstance(node, float) and not math.isfinite(node)):
        shown = node.name if isinstance(node, _Constant) else "a number beyond all floats"
        what = f"{key} is {shown}, which no setting is"
        raise RlpytError("config", what, where=where, hint="write a number, or null for none")
    return node


def _inner(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def json_value(value: Any, key: str) -> Any:
    """``value`` as JSON gives it back: new dicts and lists, Python's numbers.

    Raises:
        RlpytError: ``config``, with the path that begins with ``key``, for what JSON does not have.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        what = f"{key}={value}, which JSON does not have"
        raise RlpytError("config", what, hint="give a number, or None for none")
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                what = f"{key or 'the variant'} has the key {name!r} ({type(name).__name__})"
                raise RlpytError("config", what, hint="keys are strings")
        return {name: json_value(item, _inner(key, name)) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [json_value(item, f"{key}[{i}]") for i, item in enumerate(value)]
    what = f"{key}={value!r:.80} ({type(value).__name__}), which JSON does not have"
    hint = 'give text: "package.module.Class", "package.module:function"'
    raise RlpytError("config", what, hint=hint)
