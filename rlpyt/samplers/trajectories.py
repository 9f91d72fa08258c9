"""Which episodes a batch has ended, and their statistics."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, final

import numpy as np

from rlpyt.data import Samples, TrajInfo

__all__ = ["FinishedTraj", "TrajTracker", "in_order"]

FinishedTraj = tuple[int, TrajInfo]
"""The row of the batch at which an episode ended, and its statistics."""


@final
class TrajTracker:
    """Follows the open episode of each column from batch to batch."""

    def __init__(
        self, template: TrajInfo, env_indices: tuple[int, ...], score_key: str | None = None
    ) -> None:
        """``template`` gives class and discount; no episode is open. ``score_key``: the leaf of
        ``env_info`` that counts instead of the reward.
        """
        self._template, self._score_key = template, score_key
        self._env_indices = env_indices
        self.reset()

    def reset(self) -> None:
        """An episode starts in every column."""
        self._trajs = [self._new(b) for b in range(len(self._env_indices))]

    def restart(self, columns: Iterable[int]) -> None:
        """An episode starts in these columns: what was open there is forgotten."""
        for b in columns:
            self._trajs[b] = self._new(b)

    def _new(self, b: int) -> TrajInfo:
        discount, index = self._template.discount, self._env_indices[b]
        return type(self._template)(discount=discount, env_index=index)

    def finish(self, samples: Samples, start: int = 0) -> list[FinishedTraj]:
        """Take in the rows from ``start`` of a batch, numpy [T, B, ...]; the episodes that ended
        there.
        """
        if self._score_key is not None:
            samples = samples._replace(reward=getattr(samples.env_info, self._score_key))
        done = self._template.ends(samples)
        finished: list[FinishedTraj] = []
        for b in range(len(self._env_indices)):
            begin = _first_valid(samples.valid, b, start, len(done))
            for end in np.flatnonzero(done[:, b]).tolist():
                if end < begin:
                    continue
                self._trajs[b].extend(samples[begin : end + 1, b])
                finished.append((end, self._trajs[b]))
                self._trajs[b] = self._new(b)
                begin = _first_valid(samples.valid, b, end + 1, len(done))
            if begin < len(done):
                self._trajs[b].extend(samples[begin:, b])
        return in_order(finished)

    def state_dict(self) -> list[dict[str, Any]]:
        """The open episodes, column by column."""
        return [dict(vars(traj)) for traj in self._trajs]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Continue from ``state``."""
        self._trajs = [replace(self._template, **saved) for saved in state]


def in_order(finished: list[FinishedTraj]) -> list[FinishedTraj]:
    """By the row where they ended, then by environment: the same for any division of columns."""
    return sorted(finished, key=lambda item: (item[0], item[1].env_index))


def _first_valid(valid: Any, b: int, start: int, stop: int) -> int:
    while valid is not None and start < stop and not valid[start, b]:
        start += 1
    return start
