"""Transitions out of the ring: one step, and what was known n steps on."""

from typing import NamedTuple

import numpy as np

from rlpyt.replays.memory import Array
from rlpyt.replays.n_step import NStep
from rlpyt.replays.observations import ObservationStore
from rlpyt.replays.placement import RESET, TERMINATED, TRUNCATED
from rlpyt.replays.ring import Ring
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
    at = index % ring.n_indices
    if n_step == 1:
        return _one_step(ring, store, at, discount)
    B = ring.shape.B
    window = at + np.arange(n_step)[:, None] * B
    flags = ring.flat_flags.take(window, mode="wrap")
    terminated = (flags & TERMINATED) != 0
    done = (flags & (TERMINATED | TRUNCATED)) != 0
    reward = ring.flat_learned_reward.take(window, mode="wrap")
    returns = NStep.of(reward, terminated, done, n_step=n_step, discount=discount)
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
    return TransitionParts(
        pairs=Pairs(at, next_at, _NONE, final_at, final_slot, adjacent=False),
        prev_action=prev_action,
        prev_reward=prev_reward,
        reset=reset,
        action=ring.take_actions(at),
        return_=returns.return_[0],
        next_prev_action=ring.take_actions(last),
        next_prev_reward=ring.flat_reward.take(last, mode="wrap"),
        next_discount=returns.discount[0],
    )


def _one_step(ring: Ring, store: ObservationStore, at: Array, discount: float) -> TransitionParts:
    """As above for n = 1, by fewer calls: with small batches they cost as much as the frames."""
    N, B = len(at), ring.shape.B
    flags = ring.flat_flags.take(at)
    found = int(np.bitwise_or.reduce(flags))  # of any of them
    before_and_at = np.empty((2, N), np.int64)
    np.subtract(at, B, out=before_and_at[0])
    before_and_at[1] = at
    reward = ring.flat_reward.take(before_and_at, mode="wrap")
    actions = ring.take_actions(before_and_at)
    next_discount = np.full(N, discount, np.float32)
    if found & TERMINATED:
        next_discount[(flags & TERMINATED) != 0] = 0
    next_at, stays, final_at, final_slot = at + B, _NONE, _NONE, _NONE
    if found & (TERMINATED | TRUNCATED):
        stays = np.flatnonzero(flags & (TERMINATED | TRUNCATED))
        next_at[stays] = at[stays]
        final_at = stays[next_discount[stays] > 0]
        final_slot = store.final_slots(at[final_at])
    reset = (flags & RESET) != 0
    if found & RESET:
        for leaf in (reward, *actions):
            leaf[0, reset] = 0
    action = [leaf[1] for leaf in actions]
    return TransitionParts(
        pairs=Pairs(at, next_at, stays, final_at, final_slot, adjacent=True),
        prev_action=[leaf[0] for leaf in actions],
        prev_reward=reward[0],
        reset=reset,
        action=action,
        return_=ring.flat_learned_reward.take(at),
        next_prev_action=action,
        next_prev_reward=reward[1],
        next_discount=next_discount,
    )
