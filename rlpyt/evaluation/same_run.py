"""Whether two runs are one: where their states, and the rows of their logs, first differ."""

import csv
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from torch import Tensor

from rlpyt.checkpoint.arrays import tensor_bytes
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.tree import flatten
from rlpyt.runners.records import TIME_COLUMNS

__all__ = [
    "RowDifference",
    "StateDifference",
    "drop_later_states",
    "load_states",
    "rank_checkpoints",
    "read_rows",
    "row_difference",
    "run_difference",
    "saved_itrs",
    "state_differences",
]

# What an iteration does first stands first: a difference comes from there.
_ORDER: Final = ("sampler/", "algo/replay", "algo/reward", "agent/", "algo/", "records/", "")
_TIMES: Final = ("cum_time", "row_time", "cum_eval_time", "row_lags")  # of the records: measured
_KINDS: Final = frozenset({"dict", "tuple", "fields", "ordered"})  # of nodes in a skeleton
_LAGS: Final = frozenset({"Diagnostics/Lag0", "Diagnostics/Lag1"})


class StateDifference(NamedTuple):
    """A tensor, or a number, that two states have differently."""

    name: str  # its path: "agent/model/pi.0.weight"
    element: tuple[int, ...] | None  # the first that differs; None: no two such tensors
    one: str
    other: str
    n_different: int  # elements

    def __str__(self) -> str:
        place = "" if not self.element else f"[{', '.join(map(str, self.element))}]"
        more = f" ({self.n_different:,} elements differ)" if self.n_different > 1 else ""
        return f"{self.name}{place}: {self.one} and {self.other}{more}"


class RowDifference(NamedTuple):
    """A number of two logs that is not the same."""

    row: int  # from 1
    column: str
    one: str
    other: str
    steps: int | None  # environment steps, where the first log says so


def state_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[StateDifference]:
    """All that differs between two states of a run, bit for bit but for measurements of time: first
    what an iteration does first. [] where they are equal.

    The state of a sampler in a process of its own counts as that of the sampler.
    """
    (arrays, leaves), (others, other_leaves) = _parts(one), _parts(other)
    found = []
    for name in dict.fromkeys([*arrays, *others]):
        difference = _tensors(name, arrays.get(name), others.get(name))
        found += [] if difference is None else [difference]
    for name in dict.fromkeys([*leaves, *other_leaves]):
        pair = leaves.get(name, "nothing"), other_leaves.get(name, "nothing")
        if pair[0] != pair[1] and name not in arrays and name not in others:
            found.append(StateDifference(name, None, str(pair[0]), str(pair[1]), 1))
    return sorted(found, key=lambda each: _place(each.name))


def _place(name: str) -> int:
    return next(n for n, prefix in enumerate(_ORDER) if name.startswith(prefix))


def _parts(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by path, and all other leaves by path; without times."""
    kept = dict(state)
    sampler = kept.get("sampler")
    if isinstance(sampler, Mapping) and isinstance(sampler.get("sampler"), Mapping):
        kept["sampler"] = sampler["sampler"]
    if isinstance(kept.get("records"), Mapping):
        records = kept["records"]
        kept["records"] = {name: records[name] for name in records if name not in _TIMES}
    if isinstance(kept.get("logger"), Mapping):
        columns = kept["logger"].get("columns") or ()
        kept["logger"] = {**kept["logger"], "columns": [c for c in columns if c not in _LAGS]}
    arrays, skeleton = flatten(kept)
    return arrays, dict(_leaves(skeleton, ()))


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and not {"tensor", "array"} & node.keys():
        for key, value in node.items():
            yield from _leaves(value, path if key in _KINDS else (*path, str(key)))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _leaves(value, (*path, str(number)))
    else:
        yield "/".join(path), node


def _tensors(name: str, one: Tensor | None, other: Tensor | None) -> StateDifference | None:
    if one is None or other is None or one.dtype != other.dtype or one.shape != other.shape:
        return StateDifference(name, None, _kind(one), _kind(other), 1)
    raw = [np.frombuffer(tensor_bytes(each), np.uint8) for each in (one, other)]
    if np.array_equal(raw[0], raw[1]):
        return None
    differs = (raw[0] != raw[1]).reshape(-1, one.itemsize).any(1)
    first = int(differs.argmax())
    index = tuple(int(each) for each in np.unravel_index(first, tuple(one.shape) or (1,)))
    here, there = (str(each.reshape(-1)[first].item()) for each in (one, other))
    if here == there:  # two NaNs may differ in their bits
        there = f"{there} of other bits"
    return StateDifference(name, index if one.dim() else (), here, there, int(differs.sum()))


def _kind(tensor: Tensor | None) -> str:
    if tensor is None:
        return "nothing"
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def saved_itrs(run_dir: Path) -> list[int]:
    """The iterations whose state the run has kept."""
    return sorted(Checkpointer(run_dir / "checkpoints").saved())


def rank_checkpoints(directory: Path) -> list[Checkpointer]:
    """Those in a run's ``checkpoints``: of the first process that learned, then of rank 1, ..."""
    others = directory.glob("rank_*")
    ranks = sorted(others, key=lambda path: int(path.name.removeprefix("rank_")))
    return [Checkpointer(path) for path in (directory, *ranks)]


def drop_later_states(run_dir: Path, itr: int) -> None:
    """Remove what the run has kept of iterations behind ``itr``, of all its processes."""
    for path in run_dir.glob("checkpoints/**/itr_*"):
        if path.is_dir() and int(path.name.partition("_")[2].partition(".")[0]) > itr:
            shutil.rmtree(path)


def load_states(run_dir: Path, itr: int | None = None) -> list[dict[str, Any]]:
    """The state after iteration ``itr`` (None: the newest that is kept), of each process that
    learned: the first's, then those of rank 1, ...

    Raises:
        RlpytError: ``checkpoint``, where a file is damaged.
    """
    states = []
    for checkpointer in rank_checkpoints(run_dir / "checkpoints"):
        saved = checkpointer.saved()
        state, _manifest = checkpointer.load(saved[max(saved) if itr is None else itr])
        states.append(state)
    return states


def run_difference(one: Path, other: Path) -> str | None:
    """How the ends of two runs differ: the newest states of all processes, then the rows; None
    where nothing does.
    """
    states, others = load_states(one), load_states(other)
    if len(states) != len(others):
        return f"{len(states)} and {len(others)} processes"
    for rank, pair in enumerate(zip(states, others, strict=True)):
        found = state_differences(*pair)
        if found:
            where = f"rank {rank}: " if len(states) > 1 else ""
            return f"{where}{found[0]}, and {len(found) - 1} more"
    n_rows = [len(read_rows(each)) for each in (one, other)]
    if n_rows[0] != n_rows[1]:
        return f"{n_rows[0]} and {n_rows[1]} rows"
    row = row_difference(one, other)
    return None if row is None else f"row {row.row}, {row.column}: {row.one} and {row.other}"


def row_difference(one: Path, other: Path) -> RowDifference | None:
    """Where the rows of progress.csv that both have are first not the same, time measurements and
    what only a process of its own measures aside.
    """
    rows, others = read_rows(one), read_rows(other)
    names = dict.fromkeys(key for row in (*rows[:1], *others[:1]) for key in row)
    for number, (row, another) in enumerate(zip(rows, others, strict=False), 1):
        for name in names:
            cells = row.get(name, "nan"), another.get(name, "nan")
            is_lag = name in _LAGS and not (name in row and name in another)
            if name not in TIME_COLUMNS and cells[0] != cells[1] and not is_lag:
                steps = row.get("Diagnostics/CumSteps")
                at = None if steps is None else int(float(steps))
                return RowDifference(number, name, *cells, at)
    return None


def read_rows(run_dir: Path) -> list[dict[str, str]]:
    """The rows of progress.csv; [] where there is none."""
    path = run_dir / "progress.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
