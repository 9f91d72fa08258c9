"""TaskReplay: past transitions of many tasks, each task's by themselves, and which of them are its
context: those that tell about the task as it was met last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor

from rlpyt.envs.spaces import example_of
from rlpyt.replays.memory import Array, ArraySpec, ReplayMemory, forecast_bytes
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError

__all__ = ["TaskReplay", "TaskTransitions"]


class TaskTransitions(NamedArrayTuple):
    """Steps of tasks, every leaf [..., *shape]: numbers are float32, but for bytes and integers."""

    observation: Any
    action: Any
    reward: Any  # float32
    context_reward: Any  # float32, what the context tells of it
    next_observation: Any  # the true one, at an episode's end too
    terminated: Any  # float32: 1 where the episode ended by itself


@final
@dataclass(kw_only=True)
class TaskReplay:
    """Keeps the last ``size`` transitions of each task; and of the last trial of a task, those that
    are its context.
    """

    size: int = 100_000  # transitions of each task
    _n: Array = field(init=False, repr=False, compare=False)

    def forecast(self, observation: Space[Any], action: Space[Any], *, n_tasks: int) -> int:
        """Bytes that it takes when it is full."""
        return forecast_bytes(self._specs(_example(observation, action), n_tasks).values())

    def initialize(self, observation: Space[Any], action: Space[Any], *, n_tasks: int) -> None:
        """Allocate for transitions of these spaces.

        Raises:
            RlpytError: ``memory``, where the forecast exceeds what is free; ``config``, for a size
                below 1.
        """
        if self.size < 1:
            raise RlpytError(
                "config", f"size={self.size}", where="TaskReplay", hint="use 1 or more"
            )
        example = _example(observation, action)
        arrays = ReplayMemory(self._specs(example, n_tasks)).arrays
        names = iter(range(len(leaves(example))))
        self._rows: TaskTransitions = buffer_map(lambda _leaf: arrays[str(next(names))], example)
        self._context = arrays["context"]
        self._n = np.zeros(n_tasks, np.int64)  # ever appended
        self._begun = np.zeros(n_tasks, np.int64)  # what ``_n`` was when the last trial began
        self._n_context = np.zeros(n_tasks, np.int64)

    def _specs(self, example: Any, n_tasks: int) -> dict[str, ArraySpec]:
        rows = (n_tasks, self.size)
        specs = {
            str(i): ArraySpec((*rows, *leaf.shape), leaf.dtype)
            for i, leaf in enumerate(leaves(example))
        }
        return {**specs, "context": ArraySpec(rows, np.dtype(np.int64))}

    @property
    def n_tasks(self) -> int:
        """Tasks that there is room for."""
        return len(self._n)

    def n_stored(self, task: int) -> int:
        """Transitions held of a task."""
        return min(int(self._n[task]), self.size)

    def n_context(self, task: int) -> int:
        """Transitions of its context."""
        return int(self._n_context[task])

    def ready(self) -> Array:
        """The tasks of which there are transitions and a context, [n] int64."""
        return np.flatnonzero((self._n > 0) & (self._n_context > 0))

    def begin_trial(self, task: int) -> None:
        """The context of a task is empty again: what comes now is its own."""
        self._n_context[task], self._begun[task] = 0, self._n[task]

    def append(self, task: int, transitions: TaskTransitions, in_context: Array) -> None:
        """Take in ``transitions`` [N, ...] of one task, in their order; those where ``in_context``
        [N] bool join its context.

        Raises:
            RlpytError: ``replay``, where a trial is longer than the replay.
        """
        n = len(in_context)
        added, held = int(np.count_nonzero(in_context)), int(self._n_context[task])
        length = int(self._n[task] - self._begun[task]) + n
        if length > self.size:
            what = f"a trial of {length} transitions or more in a replay of {self.size} of a task"
            raise RlpytError("replay", what, hint="use a larger algo.replay.size")
        at = (self._n[task] + np.arange(n)) % self.size
        for rows, values in zip(leaves(self._rows), leaves(transitions), strict=True):
            rows[task, at] = values
        self._context[task, held : held + added] = at[in_context]
        self._n_context[task] = held + added
        self._n[task] += n

    def sample(self, tasks: Array, n: int, rng: np.random.Generator) -> TaskTransitions:
        """``n`` transitions of each of ``tasks`` [M], uniformly, with replacement: [M, n, ...]."""
        stored = np.minimum(self._n[tasks], self.size)
        return self._gathered(tasks, rng.integers(stored[:, None], size=(len(tasks), n)))

    def sample_context(self, tasks: Array, n: int, rng: np.random.Generator) -> TaskTransitions:
        """``n`` transitions of each one's context, likewise."""
        of = tasks[:, None]
        chosen = rng.integers(self._n_context[of], size=(len(tasks), n))
        return self._gathered(tasks, self._context[of, chosen])

    def sample_windows(
        self, tasks: Array, n: int, rng: np.random.Generator
    ) -> tuple[TaskTransitions, Tensor]:
        """1 to ``n`` transitions of each one's context that followed each other, any number as
        likely: [M, n, ...], and which of them they are, [M, n] bool.
        """
        held = self._n_context[tasks]
        start = rng.integers(np.maximum(held - n, 0) + 1)
        length = rng.integers(1, np.minimum(held, n) + 1)
        at = np.arange(n)
        valid = at < length[:, None]
        chosen = np.where(valid, start[:, None] + at, start[:, None])
        return self._gathered(tasks, self._context[tasks[:, None], chosen]), torch.from_numpy(valid)

    def _gathered(self, tasks: Array, rows: Array) -> TaskTransitions:
        flat = tasks[:, None] * self.size + rows

        def gather(leaf: Array) -> Tensor:
            return torch.from_numpy(leaf.reshape(-1, *leaf.shape[2:])[flat])

        gathered: TaskTransitions = buffer_map(gather, self._rows)
        return gathered

    def state_dict(self) -> dict[str, Any]:
        """What is held, task by task. Arrays share the replay's memory."""
        stored = [self.n_stored(task) for task in range(self.n_tasks)]
        return {
            "n": self._n.copy(),
            "begun": self._begun.copy(),
            "n_context": self._n_context.copy(),
            "rows": [[leaf[task, :n] for leaf in self._leaves()] for task, n in enumerate(stored)],
        }

    def _leaves(self) -> list[Array]:
        return [*leaves(self._rows), self._context]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``.

        Raises:
            RlpytError: ``checkpoint``, from a replay of other tasks, or of a size from which its
                transitions cannot be taken over.
        """
        if len(state["rows"]) != self.n_tasks:
            what = f"a replay of {len(state['rows'])} tasks, expected {self.n_tasks}"
            raise RlpytError("checkpoint", what, hint="resume with the run's own tasks")
        for task, (n, saved) in enumerate(zip(state["n"], state["rows"], strict=True)):
            if len(saved[0]) != min(int(n), self.size):
                what = f"{len(saved[0])} of {n} transitions of task {task}, algo.replay.size="
                what += f"{self.size} now"
                raise RlpytError("checkpoint", what, hint="resume with the run's own replay size")
        self._n[:], self._begun[:] = state["n"], state["begun"]
        self._n_context[:] = state["n_context"]
        for task, saved in enumerate(state["rows"]):
            for leaf, rows in zip(self._leaves(), saved, strict=True):
                leaf[task, : len(rows)] = rows


def _example(observation: Space[Any], action: Space[Any]) -> TaskTransitions:
    """One transition, as arrays on the way into the replay."""
    seen = buffer_map(_narrow, example_of(observation))
    number = np.zeros((), np.float32)
    return TaskTransitions(
        observation=seen,
        action=buffer_map(_narrow, example_of(action)),
        reward=number,
        context_reward=number,
        next_observation=seen,
        terminated=number,
    )


def _narrow(leaf: Array) -> Array:
    """Zeros like ``leaf``, of single precision where it has double."""
    leaf = np.asarray(leaf)
    return np.zeros(leaf.shape, np.float32 if leaf.dtype == np.float64 else leaf.dtype)
