"""What a resumed run may set anew, and what its floats depend on."""

from collections.abc import Iterator, Mapping
from typing import Any

from rlpyt.utils.errors import RlpytError

__all__ = ["check_unchanged", "lost_exactness"]

# Settings by path that a resumed run may have anew, with all inside: its course does not depend on
# them. For the sampler that holds as far as `lost_exactness` finds nothing.
_MAY_CHANGE = frozenset(
    {
        "checkpoint_interval_steps",
        "device",
        "extra",  # what is no setting
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


def check_unchanged(before: Mapping[str, Any], now: Mapping[str, Any], place: str) -> None:
    """Raise where a setting that a run depends on is not what it was.

    Args:
        before: the run's configuration, as ``config_dict`` gives it.
        now: that of the run to resume it.
        place: where ``before`` was read.

    Raises:
        RlpytError: ``config``, naming the first such setting.
    """
    for name, old, new in _differences(before, now, ""):
        raise RlpytError(
            "config",
            f"{name}={_shown(new)} differs from the run's {_shown(old)}",
            where=place,
            hint="resume with the run's own settings, or start another run",
        )


def _differences(before: Any, now: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """(path, before, now) of the settings that differ and may not.

    A component's field that only one of the two has is none: it belongs to another class of
    sampler, or to another release.
    """
    if path in _MAY_CHANGE or before == now:
        return
    if not (isinstance(before, Mapping) and isinstance(now, Mapping)):
        yield path, before, now
        return
    are_components = "class" in before and "class" in now
    for name in dict.fromkeys([*now, *before]):
        if are_components and not (name in before and name in now):
            continue
        inner = f"{path}.{name}" if path else name
        yield from _differences(before.get(name), now.get(name), inner)


def _shown(value: Any) -> str:
    """A component by the name of its class."""
    if isinstance(value, Mapping) and "class" in value:
        return f"{str(value['class']).rpartition('.')[2]}(...)"
    return repr(value)


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
