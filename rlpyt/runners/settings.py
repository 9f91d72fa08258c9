"""What a resumed run may set anew, and what its floats depend on: the diff of its settings."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from rlpyt.utils.errors import RlpytError

__all__ = ["Change", "change_table", "check_unchanged", "lost_exactness", "setting_changes"]

# Settings by path that a resumed run may have anew, with all inside: its course does not depend on
# them. For the sampler that holds as far as `lost_exactness` finds nothing.
_MAY_CHANGE = frozenset(
    {
        "checkpoint_interval_steps",
        "device",
        "keep_checkpoints",
        "log_interval_steps",
        "n_steps",
        "pause_steps",
        "sampler.affinity",
        "sampler.class",
        "sampler.max_restarts",
        "sampler.n_workers",
        "sampler.on_worker_failure",
        "sampler.restart_window",
        "sampler.start_method",
        "sampler.worker_timeout",
        "start_method",
        "timeout",
    }
)


_REPLAY_MAY_CHANGE = frozenset({"algo.replay.checkpointed"})  # if that is asked for
_NO_SETTING = "extra"
_NOT_SET = "(not set)"  # an item of a dict that only the other has, which may be None there
_SHOWN = 40  # characters of a value in a table

# Settings that what a checkpoint holds depends on, with all inside, and why.
_IMPOSSIBLE: Mapping[str, str] = MappingProxyType(
    {
        "agent.class": "the checkpoint holds another agent",
        "algo.class": "the checkpoint holds the state of another algorithm",
        "algo.replay": "the replay in the checkpoint was kept with the other settings",
        "class": "the checkpoint is of another runner",
        "init_from": "only a new run starts with parameters of another",
        "sampler.TrajInfoCls": "episodes in the checkpoint are counted otherwise",
        "sampler.batch_B": "the run is counted in batches of T x B steps, of B environments",
        "sampler.batch_T": "the run is counted in batches of T x B steps",
        "sampler.env": "the checkpoint holds the state of other environments",
        "sampler.mid_batch_reset": "the environments stand where the other way has left them",
        "world_size": "the checkpoint has as many parts as there were processes",
    }
)


class Change(NamedTuple):
    """A setting that is not what it was in the run's first part."""

    setting: str  # its path
    before: Any
    now: Any
    kind: Literal["allowed", "override", "impossible"]
    why: str = ""  # it is impossible

    @property
    def told(self) -> str:
        """With both values."""
        return f"{self.setting}={_shown(self.now)} differs from the run's {_shown(self.before)}"


def setting_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """The settings that differ, and which of them a run can go on with.

    Allowed is what its course does not depend on. Impossible is what its checkpoints do not fit.
    All else needs to be asked for: the run will not be what its settings say from the start on.

    Args:
        before: the run's configuration, as ``config_dict`` gives it.
        now: that of the run to resume it.
    """
    return [_change(*found) for found in _differences(before, now, "")]


def check_unchanged(before: Mapping[str, Any], now: Mapping[str, Any], place: str) -> None:
    """Raise where a setting that a run depends on is not what it was.

    Args:
        before: the run's configuration, as ``config_dict`` gives it.
        now: that of the run to resume it.
        place: where ``before`` was read.

    Raises:
        RlpytError: ``config``, naming the first such setting.
    """
    for change in setting_changes(before, now):
        if change.kind != "allowed":
            hint = "resume with the run's own settings, or start another run"
            if change.kind == "override":
                hint += f"; `rlpyt resume RUN_DIR {change.setting}=... --override` goes on, "
                hint += "if its checkpoint fits"
            raise RlpytError("config", change.told, where=place, hint=hint)


def change_table(changes: Iterable[Change], *, accepted: bool = False) -> str:
    """Aligned columns with a heading, for people, before or after they were ``accepted``."""
    asked = "changed" if accepted else "needs --override"
    rows = [("setting", "the run's", "now", "")]
    for change in changes:
        verdict = {"allowed": "allowed", "override": asked}.get(change.kind)
        verdict = verdict or f"impossible: {change.why}"
        rows.append((change.setting, _shown(change.before), _shown(change.now), verdict))
    cells = [[_short(cell) for cell in row[:3]] + [row[3]] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  {d}" for a, b, c, d in cells]
    return "\n".join(line.rstrip() for line in lines)


def _change(path: str, before: Any, now: Any) -> Change:
    if _is_within(path, _MAY_CHANGE):
        return Change(path, before, now, "allowed")
    place = _is_within(path, _IMPOSSIBLE)
    if place and path not in _REPLAY_MAY_CHANGE:
        return Change(path, before, now, "impossible", _IMPOSSIBLE[place])
    return Change(path, before, now, "override")


def _is_within(path: str, places: Iterable[str]) -> str:
    """The one of ``places`` that ``path`` is, or is inside of; "" for none."""
    return next((place for place in places if path == place or path.startswith(f"{place}.")), "")


def _differences(before: Any, now: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """(path, before, now) of the settings that differ.

    A component's field that only one of the two has is none: it belongs to another class of
    sampler, or to another release.
    """
    if path == _NO_SETTING or before == now:
        return
    if not (isinstance(before, Mapping) and isinstance(now, Mapping)):
        yield path, before, now
        return
    are_components = "class" in before and "class" in now
    for name in dict.fromkeys([*now, *before]):
        if are_components and not (name in before and name in now):
            continue
        inner = f"{path}.{name}" if path else name
        yield from _differences(before.get(name, _NOT_SET), now.get(name, _NOT_SET), inner)


def _shown(value: Any) -> str:
    """A component by the name of its class."""
    if value == _NOT_SET:
        return _NOT_SET
    if isinstance(value, Mapping) and "class" in value:
        return f"{str(value['class']).rpartition('.')[2]}(...)"
    return repr(value)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def lost_exactness(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Why a resumed run will not be bit for bit what the uninterrupted one would have been.

    How many environments act in one inference call, and on how many threads, decides the last bits
    of float sums. With a ``sampler.group_size`` the first is the same in every sampler.

    Args:
        before: ``params.json`` of the run, its plan under ``extra``.
        now: the same of the run to resume it.

    Returns:
        A sentence for the user; None where nothing is lost.
    """
    columns, threads = zip(_inference(before), _inference(now), strict=True)
    if columns[0] != columns[1]:
        then, since = (_sizes(spans) for spans in columns)
        what = f"the agent acts for {since} environments at a time, before for {then}"
        if then == since:
            what = f"the agent acts for {since} other environments at a time than before"
        hint = "; with a sampler.group_size, set when a run begins, every sampler gives the same"
    elif threads[0] != threads[1]:
        what = f"the agent acts on {threads[1]} threads, before on {threads[0]}"
        hint = ""
    else:
        return None
    return f"{what}: the resumed run equals the uninterrupted one only up to float sums{hint}"


def _inference(params: Mapping[str, Any]) -> tuple[Any, Any]:
    """Columns that act together (None where group_size settles it), and threads."""
    sampler = params["sampler"]
    found = params.get("extra", {}).get("plan", {}).get("inference", {})
    columns = found.get("columns", [[0, sampler["batch_B"]]])
    if sampler.get("group_size") is not None:
        columns = None
    return columns, found.get("threads") or params.get("torch_threads")


def _sizes(spans: list[list[int]]) -> str:
    return " or ".join(map(str, sorted({stop - start for start, stop in spans})))
