"""Crash capsules: a small file from which an environment's failure happens again, in one process.

A capsule is data for JSON: the environment's configuration, its global index, the seed of its
episode, the actions since, the one that failed included, and what went wrong.
:func:`rlpyt.envs.capsule_replay.replay_capsule` takes them again.
"""

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rlpyt.envs.action_log import decode_actions, encode_actions
from rlpyt.envs.gym import find_spec
from rlpyt.envs.tasks import plain_task
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

__all__ = [
    "DIED",
    "FORMAT_VERSION",
    "HANG",
    "capsule_from_history",
    "changed_versions",
    "failure_of",
    "read_capsule",
    "with_capsule",
    "write_capsule",
]

FORMAT_VERSION = 1
"""Version of the capsules written, and the only one read."""

HANG = "hang"
"""Code of a failure: a call of the environment did not return."""

DIED = "died"
"""Code of a failure: the environment's process was gone, by a signal or an exit of its own."""

_KEYS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("kind", (str,)),
    ("env", (dict, type(None))),
    ("env_index", (int,)),
    ("n_envs", (int,)),
    ("seed", (int,)),
    ("stream", (str,)),
    ("episode", (int, type(None))),
    ("episode_seed", (int, type(None))),
    ("auto_reset", (bool,)),
    ("steps", (int, type(None))),
    ("actions", (dict, type(None))),
    ("failure", (dict,)),
    ("versions", (dict,)),
)


def capsule_from_history(
    description: Mapping[str, Any] | None,
    *,
    env_index: int,
    seed: int,
    stream: Stream,
    episode: int | None,
    actions: Sequence[Any] | None,
    failure: Mapping[str, str],
    auto_reset: bool = True,
    n_envs: int | None = None,
    steps: int | None = None,
    task: Mapping[str, Any] | None = None,
    total_envs: int | None = None,
) -> dict[str, Any]:
    """The capsule of an environment, also of one in a process that can say nothing any more.

    Args:
        description: ``config_dict`` of its EnvConfig; ``None`` where it was made without one, and
            then it cannot be replayed.
        env_index: its global index; the first one's, in a native vector environment.
        seed: the run's.
        stream: what its episodes' seeds are made from.
        episode: its number; ``None`` where it failed in its constructor.
        actions: since the reset, the one that failed included, as the environment got them
            (:func:`rlpyt.envs.spaces.action_from_tree`; batched for a native vector environment);
            ``None`` where they are not known.
        failure: ``code``, ``what`` and ``where``; the codes ``hang`` and ``died`` say that no
            exception was raised.
        auto_reset: whether an episode's end starts the next one.
        n_envs: how many a native vector environment has; ``None`` for one environment.
        steps: how many actions there were, where ``actions`` is ``None``.
        task: what it had to do, of an environment with tasks (:class:`rlpyt.envs.tasks.TaskEnv`).
        total_envs: of the run, which decide about a plan (:class:`rlpyt.envs.vector.PlannedEnv`).
    """
    episode_seed = None if episode is None else seed_int(seed, stream, env_index, episode)
    return {
        "format": FORMAT_VERSION,
        "kind": "loop" if n_envs is None else "native",
        "env": None if description is None else dict(description),
        "env_index": int(env_index),
        "n_envs": 1 if n_envs is None else n_envs,
        "seed": int(seed),
        "stream": stream.name,
        "episode": episode,
        "episode_seed": episode_seed,
        "reset_options": None,
        "task": None if task is None else plain_task(task),
        "total_envs": total_envs,
        "auto_reset": auto_reset,
        "steps": steps if actions is None else len(actions),
        "actions": None if actions is None else encode_actions(actions),
        "failure": {name: str(failure[name]) for name in ("code", "what", "where")},
    }


def failure_of(error: RlpytError) -> dict[str, str]:
    """What a capsule says of ``error``."""
    return {"code": error.code, "what": error.what, "where": error.where}


def write_capsule(directory: Path, capsule: Mapping[str, Any]) -> Path:
    """Write ``capsule`` into ``directory``, with the versions of everything; return its path.

    Nothing is overwritten: a second one of the same name ends in ``-2``.

    Raises:
        RlpytError: ``directory``, where it cannot be written.
    """
    written = {
        **capsule,
        "versions": _versions(capsule["env"]),
        "platform": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in written.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    path = directory / f"{_stem(capsule)}.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        copy = 1
        while True:
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
            except FileExistsError:
                copy += 1
                path = directory / f"{_stem(capsule)}-{copy}.json"
            else:
                return path
    except OSError as error:
        what = f"cannot write {path}: {error.strerror}"
        raise RlpytError("directory", what, hint="free the path, or make room") from error


def _stem(capsule: Mapping[str, Any]) -> str:
    stem = f"capsule_env{capsule['env_index']}"
    if capsule["episode"] is None:
        return f"{stem}_constructor"
    stem = f"{stem}_episode{capsule['episode']}"
    return stem if capsule["steps"] is None else f"{stem}_step{capsule['steps']}"


def _versions(description: Mapping[str, Any] | None) -> dict[str, str]:
    """Versions of what decides about an environment's course, its own package's too."""
    versions = {"python": platform.python_version()}
    module = None if description is None else _module_of(description.get("id"))
    packages = metadata.packages_distributions().get(module, []) if module else []
    for package in ("rlpyt", "torch", "numpy", "gymnasium", *packages):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"  # run from a source tree
    return versions


def _module_of(env_id: object) -> str | None:
    """The top package of what makes the environment, where that can be told."""
    if isinstance(env_id, dict):  # a partial
        env_id = env_id.get("function")
    if not isinstance(env_id, str):
        return None
    module, colon, name = env_id.partition(":")
    if colon and name.replace(".", "").isidentifier():
        return module.partition(".")[0]
    try:
        entry_point = find_spec(env_id).entry_point
    except RlpytError:  # it is not installed here
        return None
    return entry_point.partition(".")[0] if isinstance(entry_point, str) else None


def changed_versions(capsule: Mapping[str, Any]) -> list[str]:
    """What has another version here than where the file was written: ``numpy 2.4, was 2.3``."""
    here, then = _versions(capsule["env"]), capsule["versions"]
    return [f"{k} {here.get(k)}, was {old}" for k, old in then.items() if old != here.get(k)]


def read_capsule(path: Path) -> dict[str, Any]:
    """The capsule in the file ``path``.

    Raises:
        RlpytError: ``capsule``, where there is none, it is damaged, or of another version.
    """
    try:
        capsule = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RlpytError("capsule", f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is not JSON: {error}") from error
    if not isinstance(capsule, dict) or "format" not in capsule:
        raise RlpytError(
            "capsule",
            f"{path} is no crash capsule",
            hint="give a file that a run wrote into its capsules directory",
        )
    if capsule["format"] != FORMAT_VERSION:
        raise RlpytError(
            "capsule",
            f"{path} has format version {capsule['format']!r}, this rlpyt reads {FORMAT_VERSION}",
            hint="replay it with the version of rlpyt that it names under versions",
        )
    _check_entries(path, capsule)
    return capsule


def _check_entries(path: Path, capsule: dict[str, Any]) -> None:
    missing = [name for name, _types in _KEYS if name not in capsule]
    if missing:
        raise _damaged(path, f"lacks {', '.join(missing)}")
    for name, types in _KEYS:
        if not isinstance(capsule[name], types):
            raise _damaged(path, f"says {name} = {capsule[name]!r:.40}")
    if capsule["kind"] not in ("loop", "native") or capsule["stream"] not in Stream.__members__:
        raise _damaged(path, f"says kind = {capsule['kind']!r}, stream = {capsule['stream']!r}")
    if not {"code", "what", "where"} <= capsule["failure"].keys():
        raise _damaged(path, "does not say what failed")
    if capsule["actions"] is not None:
        try:
            n_actions = len(decode_actions(capsule["actions"]))
        except ValueError as error:
            raise _damaged(path, f"has actions that cannot be read: {error}") from error
        if n_actions != capsule["steps"]:
            raise _damaged(path, f"has {n_actions} actions of {capsule['steps']}")


def _damaged(path: Path, how: str) -> RlpytError:
    hint = "it may have been cut short or edited; the run's error line tells seed and step"
    return RlpytError("capsule", f"{path} {how}", hint=hint)


def with_capsule(error: RlpytError, directory: Path) -> RlpytError:
    """``error`` with its capsule in a file of ``directory`` and a hint that says how to replay it.

    ``error`` itself where it has no capsule. Where the file cannot be written, the hint says so:
    what the environment did stays the error. Cause, traceback and notes are kept.
    """
    if error.capsule is None:
        return error
    try:
        path = write_capsule(directory, error.capsule)
    except RlpytError as failed:
        way_out = f"there is no crash capsule: {failed.what}"
    else:
        way_out = f"replay it with `rlpyt replay-capsule {shlex.quote(str(path))}`"
        if error.capsule["env"] is None:
            way_out = f"its seed and actions are in {path}"
    hint = f"{error.hint}; {way_out}" if error.hint else way_out
    told = RlpytError(error.code, error.what, where=error.where, hint=hint, capsule=error.capsule)
    for note in getattr(error, "__notes__", ()):
        told.add_note(note)
    told.__cause__ = error.__cause__
    return told.with_traceback(error.__traceback__)
