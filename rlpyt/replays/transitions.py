"""Transitions out of the ring: one step, and what was known n steps on."""

from typing import NamedTuple

import numpy as np

from rlpyt.replays.memory import Array
from rlpyt.replays.n_step import NStep
from rlpyt.replays.observations import ObservationStore
from rlpyt.replays.ring import RESET, TERMINATED, TRUNCATED, Ring
from rlpyt.replays.storage import Pairs

__all__ = ["TransitionParts", "transition_parts"]

_NONE = np.zeros(0, np.int64)


class TransitionParts(NamedTuple):
    """A batch of N transitions but for the observations; as in ReplaySamples."""

    pairs: Pairs  # which observations
    prev_action: list[Array]
    prev_reward: Array
    reset: Array
    action: list[Array]
    return_: Array
    next_prev_action: list[Array]
    next_prev_reward: Array
    next_discount: Array


def transition_parts(
    ring: Ring, store: ObservationStore, index: Array, n_step: int, discount: float
) -> TransitionParts:
    """The transitions from absolute indices ``index`` [N], all of them starts."""
    B, flat_reward = ring.shape.B, ring.reward.reshape(-1)
    at = index % ring.n_indices
    window = at[None] if n_step == 1 else at + np.arange(n_step)[:, None] * B
    flags = ring.flags.reshape(-1).take(window, mode="wrap")
    terminated = (flags & TERMINATED) != 0
    done = (flags & (TERMINATED | TRUNCATED)) != 0
    reward = flat_reward.take(window, mode="wrap")
    returns = NStep.of(reward, terminated, done, n_step=n_step, discount=discount)
    last, ended = at, done[0]
    if n_step > 1:
        steps = returns.steps[0]
        last, ended = at + (steps - 1) * B, done[steps - 1, np.arange(len(at))]
    next_at, final_at, final_slot = last + B, _NONE, _NONE
    if ended.any():
        # The next row is another episode's. Where nothing counts, the last one's own serves.
        next_at = np.where(ended, last, next_at)
        final_at = np.flatnonzero(ended & (returns.discount[0] > 0))
        final_slot = store.final_slots(last[final_at])
    reset = (flags[0] & RESET) != 0
    prev_action, prev_reward = ring.take_previous(at - B, reset)
    action = ring.take_actions(at)
    return TransitionParts(
        pairs=Pairs(at, next_at, final_at, final_slot, adjacent=n_step == 1),
        prev_action=prev_action,
        prev_reward=prev_reward,
        reset=reset,
        action=action,
        return_=returns.return_[0],
        next_prev_action=action if n_step == 1 else ring.take_actions(last),
        next_prev_reward=flat_reward.take(last, mode="wrap"),
        next_discount=returns.discount[0],
    )
