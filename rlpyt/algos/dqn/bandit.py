"""Which arm to play next: a sliding-window UCB bandit for each environment (Badia et al. 2020b,
Agent57, arXiv:2003.13350, section 3.2 and appendix D; Garivier & Moulines 2008, arXiv:0805.3415).

Differs from the paper: the learner chooses, between batches. An episode that begins in the middle
of a batch plays the arm that was chosen before the one that ended there was known, and if several
begin in one batch they play the same.
"""

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from rlpyt.data import Samples
from rlpyt.utils.seed import generator_state, load_generator_state

__all__ = ["EpisodeBandits", "best_arm", "ucb_arm"]

_Array = np.ndarray[Any, Any]


def _statistics(arms: _Array, returns: _Array, n_arms: int) -> tuple[_Array, _Array]:
    """How often each arm was played, and the mean of its returns (0 where never), [N] each."""
    count = np.bincount(arms, minlength=n_arms)
    mean = np.bincount(arms, weights=returns, minlength=n_arms) / np.maximum(count, 1)
    return count, mean


def ucb_arm(arms: _Array, returns: _Array, n_arms: int, bonus: float) -> int:
    """argmax_a μ̂(a) + β √(1 / N(a)) over a window of episodes; arms that it lacks come first, the
    first among equals.

    Args:
        arms: of the episodes, [n] int64.
        returns: theirs, [n].
        n_arms: N.
        bonus: β.
    """
    count, mean = _statistics(arms, returns, n_arms)
    score = np.where(count > 0, mean + bonus / np.sqrt(np.maximum(count, 1)), np.inf)
    return int(score.argmax())


def best_arm(arms: _Array, returns: _Array, n_arms: int) -> int:
    """argmax_a μ̂(a) over arms that were played, the first among equals; 0 where none was."""
    count, mean = _statistics(arms, returns, n_arms)
    return int(np.where(count > 0, mean, -np.inf).argmax())


@final
class EpisodeBandits:
    """B bandits over N arms, fed with undiscounted returns of the reward.

    A_k = k                                  for the first N episodes
          uniform                            with probability ε
          argmax_a μ̂(a) + β √(1 / N(a))      else, over the last τ episodes (ucb_arm)
    """

    def __init__(
        self,
        rngs: Sequence[np.random.Generator],
        *,
        n_arms: int,
        window: int,
        bonus: float,
        epsilon: float,
    ) -> None:
        """One of ``rngs`` for each environment; ``window`` is τ, ``bonus`` β, ``epsilon`` ε."""
        B = len(rngs)
        self._rngs = rngs
        self._n_arms, self._bonus, self._epsilon = n_arms, bonus, epsilon
        self._arms = np.zeros((B, window), np.int64)  # of the last episodes, a ring
        self._returns = np.zeros((B, window), np.float64)
        self._n_started = np.zeros(B, np.int64)
        self._n_finished = np.zeros(B, np.int64)
        self._open_return = np.zeros(B, np.float64)
        self.next_arm = np.zeros(B, np.int64)  # [B]

    def observe(self, samples: Samples, arm: _Array) -> None:
        """Take in a batch [T, B], in which the episodes played ``arm`` [T, B]; choose again where
        an episode began or ended.
        """
        reward, reset, done = samples.reward.numpy(), samples.reset.numpy(), samples.done.numpy()
        if samples.valid is not None:
            valid = samples.valid.numpy()
            reward, reset, done = np.where(valid, reward, 0.0), reset & valid, done & valid
        for t in range(len(reward)):
            self._open_return[reset[t]] = 0.0
            self._open_return += reward[t]
            for b in np.flatnonzero(done[t]):
                at = self._n_finished[b] % self._arms.shape[1]
                self._arms[b, at], self._returns[b, at] = arm[t, b], self._open_return[b]
                self._n_finished[b] += 1
        self._n_started += reset.sum(0)
        for b in np.flatnonzero(reset.any(0) | done.any(0)):
            self.next_arm[b] = self._choice(int(b))

    def _choice(self, b: int) -> int:
        if self._n_started[b] < self._n_arms:
            return int(self._n_started[b])
        explores, arm = self._rngs[b].random() < self._epsilon, self._rngs[b].integers(self._n_arms)
        if explores:
            return int(arm)
        n = self._n_in_window[b]
        return ucb_arm(self._arms[b, :n], self._returns[b, :n], self._n_arms, self._bonus)

    @property
    def _n_in_window(self) -> _Array:
        found: _Array = np.minimum(self._n_finished, self._arms.shape[1])
        return found

    def best(self, counted: _Array) -> int:
        """The arm of the greatest mean return in the windows of the environments ``counted``, [B]
        bool, together.
        """
        held = np.arange(self._arms.shape[1]) < self._n_in_window[:, None]
        held &= counted[:, None]
        return best_arm(self._arms[held], self._returns[held], self._n_arms)

    def state_dict(self) -> dict[str, Any]:
        """Windows, open episodes, choices and generators."""
        arrays = {name: getattr(self, name).copy() for name in _STATE}
        return {**arrays, "generators": [generator_state(rng) for rng in self._rngs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        for name in _STATE:
            getattr(self, name)[:] = state[name]
        for rng, saved in zip(self._rngs, state["generators"], strict=True):
            load_generator_state(rng, saved)


_STATE = ("_arms", "_returns", "_n_started", "_n_finished", "_open_return", "next_arm")
