"""n-step returns from recorded rewards, and whether a row's are known already."""

from typing import NamedTuple

import numpy as np

from rlpyt.replays.memory import Array

__all__ = ["NStep", "complete_rows"]


class NStep(NamedTuple):
    """The n-step target but for the value: ``return_ + discount * V``, each [T, N]."""

    return_: Array  # float32
    steps: Array  # int64: k, the steps to the observation that V is of
    discount: Array  # float32: γ^k; 0 where the episode terminated

    @staticmethod
    def of(
        reward: Array, terminated: Array, done: Array, *, n_step: int, discount: float
    ) -> "NStep":
        """Of rows 0 ... T - 1 of [T + n_step - 1, N] rewards and ends.

            R_t = Σ_{i<k} γ^i r_{t+i},   k = min(n, steps to the first end, that one included)

        Summed in float64.
        """
        T = len(reward) - n_step + 1
        if n_step == 1:
            steps = np.ones(reward.shape, np.int64)
            return NStep(reward, steps, np.where(terminated, np.float32(0), np.float32(discount)))
        alive = np.ones((T, reward.shape[1]), dtype=bool)
        total, steps = np.zeros(alive.shape), np.zeros(alive.shape, np.int64)
        cut = np.zeros(alive.shape, dtype=bool)
        for i in range(n_step):
            row = slice(i, i + T)
            # not a product: what stands behind an end may be anything
            total += np.where(alive, discount**i * reward[row].astype(np.float64), 0.0)
            steps += alive
            cut |= alive & terminated[row]
            alive &= ~done[row]
        powers = discount ** np.arange(n_step + 1)
        next_discount = np.where(cut, 0.0, powers[steps]).astype(np.float32)
        return NStep(total.astype(np.float32), steps, next_discount)


def complete_rows(valid: Array, done: Array, starts: Array, span: int) -> Array:
    """Which of consecutive rows [R, B] can be learnt from: that are valid, and after which ``span``
    steps are known, or all up to the episode's end. The row after the last is not known.

    A link to the next row that is missing, since that is not valid or starts another episode though
    this one has no end, is no step.
    """
    row = np.arange(len(valid))[:, None]
    broken = np.ones(valid.shape, dtype=bool)
    np.logical_or(starts[1:], ~valid[1:], out=broken[:-1])
    stop = ~valid | (broken & ~done)
    never = len(valid) + span
    next_stop = _next(stop, row, never)
    next_end = _next(valid & done, row, never)
    complete: Array = valid & ((next_end < next_stop) | (next_stop - row >= span))
    return complete


def _next(where: Array, row: Array, never: int) -> Array:
    """The first row from each on, [R, B], that is True."""
    following = np.where(where, row, never)
    found: Array = np.minimum.accumulate(following[::-1], axis=0)[::-1]
    return found
