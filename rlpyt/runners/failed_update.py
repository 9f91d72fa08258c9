"""A failed update in a file: the state before it and what it was given, to do it again."""

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.failed_update import FailedUpdateError
from rlpyt.algos.optimizer import GradientStep
from rlpyt.checkpoint.files import read_checkpoint, write_checkpoint
from rlpyt.envs.capsule import with_capsule
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.rebuild import component_from

__all__ = ["SavedUpdate", "gradient_steps", "load_update", "save_update", "with_evidence"]

_KIND = "failed update"


class SavedUpdate(NamedTuple):
    """One gradient step, as it was when it failed, ready to be taken."""

    runner: BaseRunner  # its agent and its algorithm have the state before
    name: str  # of the step in the algorithm
    step: GradientStep
    learning_rate: float
    args: tuple[Any, ...]
    share: Any
    itr: int
    told: str  # the error then


def with_evidence(error: RlpytError, runner: BaseRunner, itr: int, run_dir: Path) -> RlpytError:
    """``error`` with the file that makes it happen again, and a hint that says how: a crash capsule
    of an environment, or a failed update; ``error`` itself where it is neither.
    """
    failed = error.__cause__
    if not isinstance(failed, FailedUpdateError):
        return with_capsule(error, run_dir / "capsules")
    name = next((n for n, s in gradient_steps(runner.algo).items() if s is failed.step), "")
    where = f"iteration {itr}, {error.where} of {name or 'a gradient step'}"
    path = _unused(run_dir / "failed_updates" / f"itr_{itr:09d}_{name.replace('.', '_')}")
    try:
        save_update(path, error.what, failed, name, runner, itr)
    except (RlpytError, OSError) as problem:
        way_out = f"it could not be saved: {problem}"
    else:
        way_out = f"take it again with `rlpyt replay-update {shlex.quote(str(path))}`"
    told = error.altered(where=where, hint=f"{error.hint}; {way_out}")
    return told.with_traceback(error.__traceback__)


def _unused(path: Path) -> Path:
    """``path``, or with a number behind it: a run may fail where it has failed before."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}_{number}")
    return free


def save_update(
    path: Path, told: str, failed: FailedUpdateError, name: str, runner: BaseRunner, itr: int
) -> None:
    """Write the new directory ``path``, in the format of checkpoints: settings, agent, algorithm
    without its replay, and what the step ``name`` was given.

    Raises:
        RlpytError: ``checkpoint``, for what cannot be written down; ``OSError``, for a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _no_replay(runner.algo):
        state = {
            "kind": _KIND,
            "told": told,
            "config": config_dict(runner),
            "agent": runner.agent.state_dict(),
            "algo": runner.algo.state_dict(),
            "step": name,
            "learning_rate": failed.learning_rate,
            "args": _encoded(failed.inputs),
            "share": failed.share,
        }
        write_checkpoint(path, state, itr=itr, cum_steps=runner.cum_steps)


def load_update(path: Path) -> SavedUpdate:
    """What :func:`save_update` wrote, with a runner of its own, on the CPU.

    Raises:
        RlpytError: ``checkpoint``, for a damaged file or another kind; ``config``, where its
            settings cannot be built any more.
    """
    state, manifest = read_checkpoint(path)
    if not isinstance(state, Mapping) or state.get("kind") != _KIND:
        hint = "give a directory of RUN_DIR/failed_updates"
        raise RlpytError("checkpoint", f"{path} is no failed update", hint=hint)
    runner = component_from(state["config"], str(path))
    runner.agent.initialize(
        runner.sampler.env_spaces(), seed=runner.seed, device=torch.device("cpu")
    )
    spec = runner.sampler.batch_spec
    replay = getattr(runner.algo, "replay", None)
    if isinstance(replay, ReplayBuffer):
        replay.checkpointed, replay.resume_empty = False, True
    runner.algo.initialize(runner.agent, n_itr=runner.n_itr, batch_spec=spec, seed=runner.seed)
    runner.agent.load_state_dict(state["agent"])
    runner.algo.load_state_dict(state["algo"])
    steps = gradient_steps(runner.algo)
    if state["step"] not in steps:
        what = f"{type(runner.algo).__name__} has no gradient step {state['step']!r}"
        raise RlpytError("checkpoint", what, where=str(path), hint="use the rlpyt that saved it")
    return SavedUpdate(
        runner,
        state["step"],
        steps[state["step"]],
        state["learning_rate"],
        _decoded(state["args"]),
        state["share"],
        manifest.itr,
        state["told"],
    )


def gradient_steps(algo: RlAlgorithm) -> dict[str, GradientStep]:
    """The gradient steps of an initialised algorithm, by name."""
    found = {}
    for name, value in vars(algo).items():
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        for key, part in parts:
            if isinstance(part, GradientStep):
                found[f"{name.strip('_')}.{key}".strip(".")] = part
    return found


@contextmanager
def _no_replay(algo: RlAlgorithm) -> Iterator[None]:
    """In which the algorithm's state leaves its replay out: an update has its batch."""
    replay = getattr(algo, "replay", None)
    if not isinstance(replay, ReplayBuffer):
        yield
        return
    before, replay.checkpointed = replay.checkpointed, False
    try:
        yield
    finally:
        replay.checkpointed = before


def _encoded(tree: Any) -> Any:
    """Named tuples by the names of their classes and fields."""
    if isinstance(tree, tuple):
        fields = getattr(tree, "_fields", None)
        if fields is None:
            return {"tuple": [_encoded(part) for part in tree]}
        kind = f"{type(tree).__module__}:{type(tree).__name__}"
        return {"named": kind, "fields": dict(zip(fields, map(_encoded, tree), strict=True))}
    if isinstance(tree, dict):
        return {"dict": {key: _encoded(part) for key, part in tree.items()}}
    return tree.detach() if isinstance(tree, torch.Tensor) else tree


def _decoded(node: Any) -> Any:
    """What :func:`_encoded` was given; classes are looked up among what is imported, and where one
    is not there, a NamedArrayTuple of the same name takes its place.
    """
    if not isinstance(node, dict):
        return node
    if "tuple" in node:
        return tuple(_decoded(part) for part in node["tuple"])
    if "dict" in node:
        return {key: _decoded(part) for key, part in node["dict"].items()}
    module, _, name = node["named"].partition(":")
    fields = {key: _decoded(part) for key, part in node["fields"].items()}
    declared = vars(sys.modules[module]).get(name) if module in sys.modules else None
    is_it = isinstance(declared, type) and issubclass(declared, tuple)
    if not is_it or getattr(declared, "_fields", None) != tuple(fields):
        declared = namedarraytuple(name, tuple(fields))
    return declared._make(fields.values())  # type: ignore[union-attr]  # checked above
