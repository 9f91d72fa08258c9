"""What the master remembers of each environment's episode, for when a worker can tell nothing."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from rlpyt.data import EnvSpaces
from rlpyt.envs.capsule import capsule_from_history
from rlpyt.envs.spaces import action_from_tree
from rlpyt.samplers.base import CollectionSpec
from rlpyt.samplers.buffer import SampleBuffer
from rlpyt.utils.buffer import buffer_map, numpify_buffer
from rlpyt.utils.config import config_dict

__all__ = ["ActionHistory"]

_MAX_ROWS = 100_000  # of batches kept; a longer episode has no capsule if its worker dies


@final
class ActionHistory:
    """Episode numbers, and the actions since each episode's start, from the batches themselves."""

    def __init__(self, spec: CollectionSpec, spaces: EnvSpaces, buffer: SampleBuffer) -> None:
        """Follow the columns of ``buffer``."""
        self._spec = spec
        self._spaces = spaces
        self._buffer = buffer
        self._actions = numpify_buffer(buffer.samples.action)
        self._batches: list[Any] = []  # trees [T, B, ...]
        self._dropped = 0  # rows of batches that are no longer kept
        self._start = np.zeros(spec.n_envs, dtype=np.int64)  # row, over all batches
        self._prefix: list[list[Any]] = [[] for _ in range(spec.n_envs)]
        self.episode = np.zeros(spec.n_envs, dtype=np.int64)

    def begin(self, start: int, env_state: Mapping[str, Any]) -> None:
        """The environments of the columns from ``start`` stand as their state says."""
        if "episode" not in env_state:  # a vector environment that steps as a whole
            return
        states = zip(env_state["episode"], env_state["envs"], strict=True)
        for b, (number, env) in enumerate(states, start):
            self.episode[b] = number
            self._prefix[b] = list(env["actions"])
            self._start[b] = self._rows

    @property
    def _rows(self) -> int:
        return self._dropped + len(self._batches) * self._buffer.T

    def extend(self) -> None:
        """Take in the batch that has just been collected."""
        samples: Any = self._buffer.samples_np
        before, T = self._rows, self._buffer.T
        self._batches.append(buffer_map(np.copy, self._actions))
        done = samples.terminated | samples.truncated
        ended = np.flatnonzero(np.any(done, axis=0))
        if len(ended):
            last = T - 1 - np.argmax(done[::-1, ended], axis=0)
            # Where an episode's end waits for the next batch, so does the next episode.
            waits = not self._spec.mid_batch_reset
            self._start[ended] = before + (T if waits else last + 1)
            self.episode[ended] += np.sum(done[:, ended], axis=0)
            for b in ended.tolist():
                self._prefix[b] = []
        while self._batches and (
            self._dropped + T <= self._start.min() or self._rows - self._dropped > _MAX_ROWS
        ):
            self._batches.pop(0)
            self._dropped += T

    def capsule(self, b: int, rows: int, failure: dict[str, str]) -> dict[str, Any] | None:
        """The capsule of column ``b``, whose worker was lost ``rows`` whole rows into a batch."""
        if self._spec.env.vectorization != "loop":
            return None
        done = (
            self._buffer.samples_np.terminated[:rows, b]
            | self._buffer.samples_np.truncated[:rows, b]
        )
        ends = np.flatnonzero(done)
        episode, actions = int(self.episode[b]) + len(ends), None
        current = [self._actions]
        if len(ends):
            actions = self._taken(current, b, int(ends[-1]) + 1, rows + 1)
        elif self._start[b] >= self._dropped:
            kept = self._taken(self._batches, b, int(self._start[b]) - self._dropped, None)
            actions = self._prefix[b] + kept + self._taken(current, b, 0, rows + 1)
        return capsule_from_history(
            config_dict(self._spec.env),
            env_index=self._spec.env_indices[b],
            seed=self._spec.seed,
            stream=self._spec.env_stream,
            episode=episode,
            actions=actions,
            failure=failure,
            auto_reset=self._spec.mid_batch_reset,
            total_envs=self._spec.total_envs,
        )

    def _taken(self, batches: list[Any], b: int, start: int, stop: int | None) -> list[Any]:
        """The Gymnasium actions of column ``b`` in consecutive batches, by row."""
        T = self._buffer.T
        end = len(batches) * T if stop is None else min(stop, len(batches) * T)
        found = []
        for row in range(start, end):
            tree = buffer_map(lambda leaf, t=row % T: leaf[t], batches[row // T])
            found.append(action_from_tree(self._spaces.action, tree, b))
        return found
