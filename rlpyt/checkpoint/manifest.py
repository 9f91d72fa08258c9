"""The manifest of a checkpoint: what wrote it, and the size and SHA-256 of each of its files."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple, final

import gymnasium
import numpy as np
import torch

from rlpyt.checkpoint.tree import flatten, unflatten
from rlpyt.utils.errors import RlpytError

__all__ = ["FORMAT_VERSION", "FileRecord", "Manifest"]

FORMAT_VERSION = 1
"""Version of the checkpoint format written, and the newest one read."""

_CHECKSUM = "manifest_sha256"


class FileRecord(NamedTuple):
    """Size in bytes and SHA-256 in hexadecimal of one file."""

    size: int
    sha256: str


@cache
def _rlpyt_version() -> str:
    try:
        return metadata.version("rlpyt")
    except metadata.PackageNotFoundError:
        return "not installed"  # run from a source tree


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@final
@dataclass(kw_only=True, frozen=True)
class Manifest:
    """What is known of a checkpoint without reading its arrays.

    ``metrics`` are numbers that the run wished to keep with it, ``score`` the one by which the best
    is chosen. ``created`` is wall-clock time, UTC, ISO 8601, for people only.
    """

    itr: int
    cum_steps: int
    files: dict[str, FileRecord]
    metrics: dict[str, float] = field(default_factory=dict)
    score: float | None = None
    created: str = field(default_factory=_now)
    rlpyt_version: str = field(default_factory=_rlpyt_version)
    torch_version: str = field(default_factory=lambda: str(torch.__version__))
    numpy_version: str = field(default_factory=lambda: np.__version__)
    gymnasium_version: str = field(default_factory=lambda: gymnasium.__version__)
    format_version: int = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """The file's content: JSON with sorted keys and a checksum over all else in it.

        Checksum and ``format_version`` stay as they are in every later format: damage is told from
        what is merely newer.
        """
        content = asdict(self)
        content["files"] = {name: record._asdict() for name, record in self.files.items()}
        content["metrics"] = {name: _encode(value) for name, value in self.metrics.items()}
        content["score"] = None if self.score is None else _encode(self.score)
        return _with_checksum(content)

    @classmethod
    def from_bytes(cls, raw: bytes, *, where: str = "") -> "Manifest":
        """Read what :meth:`to_bytes` wrote; ``where`` is the file it came from, for errors.

        Raises:
            RlpytError: ``checkpoint`` for a damaged manifest, ``version`` for an intact one of
                another format.
        """
        try:
            content = json.loads(raw)
            del content[_CHECKSUM]
            intact = _with_checksum(content) == raw
            version = content["format_version"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RlpytError(
                "checkpoint", f"manifest is damaged: {error!r}", where=where
            ) from error
        if not intact:
            raise RlpytError("checkpoint", "manifest is damaged: its checksum differs", where=where)
        if version != FORMAT_VERSION:
            raise RlpytError(
                "version",
                f"checkpoint format version {version}, "
                f"written by rlpyt {content.get('rlpyt_version')}; "
                f"this rlpyt {_rlpyt_version()} reads version {FORMAT_VERSION}",
                where=where,
                hint="use the rlpyt that wrote it, or a newer one",
            )
        return cls._from_content(content, where)

    @classmethod
    def _from_content(cls, content: dict[str, Any], where: str) -> "Manifest":
        try:
            files = {
                name: FileRecord(record["size"], record["sha256"])
                for name, record in content.pop("files").items()
            }
            metrics = {name: unflatten({}, value) for name, value in content.pop("metrics").items()}
            score = unflatten({}, content.pop("score"))
            return cls(files=files, metrics=metrics, score=score, **content)
        except (KeyError, TypeError, AttributeError) as error:
            what = f"manifest has unexpected content: {error!r}"
            raise RlpytError("checkpoint", what, where=where) from error


def _encode(value: float) -> Any:
    return flatten(float(value))[1]  # JSON has no nan and no inf


def _with_checksum(content: dict[str, Any]) -> bytes:
    def render(value: dict[str, Any]) -> bytes:
        return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"

    checksum = hashlib.sha256(render(content)).hexdigest()
    return render({**content, _CHECKSUM: checksum})
