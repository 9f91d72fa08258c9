"""A file of another library, as tensors and what else is known of them."""

import json
import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

from torch import Tensor

from rlpyt.convert.confined import read_confined
from rlpyt.convert.source import convert_error
from rlpyt.models.mlp import Nonlinearity
from rlpyt.utils.archive import unpacked
from rlpyt.utils.archive_entries import ArchiveLimits

__all__ = ["Foreign", "read_foreign"]

_MAX_DATA = 64 * 2**20  # bytes
_LIMITS = ArchiveLimits(entries=100, total_bytes=16 * 2**30)
_AGENT = "agent_state_dict/"
_FUNCTIONS: Mapping[str, Nonlinearity] = MappingProxyType(
    {"Tanh": "tanh", "ReLU": "relu", "ELU": "elu", "SiLU": "silu", "GELU": "gelu"}
)


@final
@dataclass(frozen=True, kw_only=True)
class Foreign:
    """Parameters by the names that they have there."""

    tensors: dict[str, Tensor]
    cum_steps: int = 0  # environment steps that they have learned from; 0: not known
    discount: float | None = None
    nonlinearity: Nonlinearity | None = None  # None: not known


def read_foreign(kind: str, path: Path, *, run_code: bool, confined: bool) -> Foreign:
    """What is in the file at ``path``, of this ``kind``: ``sb3`` (the zip of ``model.save``),
    ``cleanrl`` (a ``state_dict``), or ``rlpyt`` (a snapshot such as ``params.pkl``).

    Raises:
        RlpytError: ``convert``, ``archive`` or ``sandbox``, for a file that is none of the kind, or
            cannot be read safely.
    """
    if kind == "sb3":
        return _sb3(path, run_code=run_code, confined=confined)
    found = read_confined(path, run_code=run_code, confined=confined)
    if kind == "cleanrl":
        return Foreign(tensors=found.tensors)
    tensors = {
        name.removeprefix(_AGENT): tensor
        for name, tensor in found.tensors.items()
        if name.startswith(_AGENT)
    }
    if not tensors:
        hint = "give a snapshot: params.pkl, or itr_<n>.pkl"
        raise convert_error("it has no agent_state_dict", path, hint)
    return Foreign(tensors=tensors, cum_steps=_count(found.numbers.get("cum_steps")))


def _sb3(path: Path, *, run_code: bool, confined: bool) -> Foreign:
    with (
        tempfile.TemporaryDirectory(prefix="rlpyt-convert-") as folder,
        unpacked(path, Path(folder), _LIMITS) as files,
    ):
        policy = files / "policy.pth"
        if not policy.is_file():
            hint = "give the file that model.save(...) wrote"
            raise convert_error("it holds no policy.pth", path, hint)
        data = _data(files / "data")
        found = read_confined(policy, run_code=run_code, confined=confined)
    gamma = data.get("gamma")
    return Foreign(
        tensors=found.tensors,
        cum_steps=_count(data.get("num_timesteps")),
        discount=float(gamma) if isinstance(gamma, int | float) and 0 <= gamma <= 1 else None,
        nonlinearity=_nonlinearity(data, path),
    )


def _data(path: Path) -> dict[str, Any]:
    """The settings in the file ``data``: JSON. The pickles in its texts stay texts."""
    try:
        if path.stat().st_size > _MAX_DATA:
            return {}
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _nonlinearity(data: Mapping[str, Any], path: Path) -> Nonlinearity | None:
    """By the name of the class, which stands in the settings as text."""
    settings = data.get("policy_kwargs")
    text = settings.get("activation_fn", "") if isinstance(settings, dict) else ""
    name = re.search(r"(\w+)'?>?$", text) if isinstance(text, str) else None
    if name is None:
        return None
    if name[1] not in _FUNCTIONS:
        hint = f"of those there are {', '.join(_FUNCTIONS)}"
        raise convert_error(f"activation_fn {name[1]} has no counterpart here", path, hint)
    return _FUNCTIONS[name[1]]


def _count(number: object) -> int:
    is_count = isinstance(number, int | float) and math.isfinite(number) and number >= 0
    return int(number) if is_count else 0  # type: ignore[call-overload]  # it is a number then
