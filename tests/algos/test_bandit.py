"""The bandits of Agent57 against what can be worked out by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from rlpyt.algos.dqn.bandit import EpisodeBandits, best_arm, ucb_arm
from rlpyt.data import Samples

N = 4


def array(*numbers: float) -> Any:
    return np.array(numbers)


def test_the_bound_in_closed_form() -> None:
    arms, returns = array(0, 0, 0, 0, 1, 2), array(1.0, 1.0, 1.0, 1.0, 0.4, 0.6)
    # With β = 1: 1 + 1/2, 0.4 + 1, 0.6 + 1.
    assert ucb_arm(arms, returns, 3, 1.0) == 2
    assert ucb_arm(arms, returns, 3, 0.5) == 0
    assert ucb_arm(arms, returns, 3, 0.0) == 0
    assert ucb_arm(arms, returns, 4, 1.0) == 3  # never played in the window
    assert ucb_arm(array(0, 1), array(1.0, 1.0), 2, 1.0) == 0  # the first among equals


def test_the_best_is_of_those_played() -> None:
    assert best_arm(array(2, 1, 1), array(-1.0, -3.0, -2.0), N) == 2
    assert best_arm(np.zeros(0, np.int64), array(), N) == 0


def bandits(B: int = 1, **settings: Any) -> EpisodeBandits:
    rngs = [np.random.default_rng(b) for b in range(B)]
    return EpisodeBandits(
        rngs, **{"n_arms": N, "window": 6, "bonus": 1.0, "epsilon": 0.0, **settings}
    )


def batch(reward: Any, reset: Any, done: Any, valid: Any = None) -> Samples:
    """Samples [T, B] of these alone."""
    flags = [torch.tensor(flag, dtype=torch.bool) for flag in (reset, done)]
    return Samples(
        observation=None,
        prev_action=None,
        prev_reward=torch.zeros(0),
        reset=flags[0],
        action=None,
        agent_info=None,
        reward=torch.tensor(reward),
        terminated=flags[1],
        truncated=torch.zeros_like(flags[1]),
        valid=None if valid is None else torch.tensor(valid),
    )


def play(found: EpisodeBandits, returns: Any, episodes: int) -> list[int]:
    """Episodes of one step, one a batch, of environment 0; the arms played."""
    arms = []
    for _ in range(episodes):
        arm = int(found.next_arm[0])
        arms.append(arm)
        found.observe(batch([[returns(arm)]], [[True]], [[True]]), np.array([[arm]]))
    return arms


def test_every_arm_comes_first_once_in_order() -> None:
    assert play(bandits(epsilon=1.0), lambda arm: 0.0, N) == [0, 1, 2, 3]


def test_the_window_slides_and_the_bound_decides() -> None:
    found, truth = bandits(window=6), array(0.0, 0.0, 5.0, 0.0)
    arms = play(found, lambda arm: truth[arm], 40)
    held: list[int] = []
    for n, arm in enumerate(arms):
        if n >= N:
            window = held[-6:]
            scores = []
            for a in range(N):
                count = window.count(a)
                scores.append(truth[a] + count**-0.5 if count else np.inf)
            assert arm == int(np.argmax(scores)), n
        held.append(arm)
    assert arms.count(2) > 10
    assert found.best(np.ones(1, bool)) == 2


def test_uniform_with_probability_epsilon() -> None:
    arms = play(bandits(epsilon=0.5), lambda arm: float(arm == 1) * 100, 2_000)
    share = np.bincount(arms, minlength=N) / len(arms)
    # All of the rest are uniform, but for arms that the window of 6 has lost.
    assert share.argmax() == 1
    assert share.min() > 0.1
    uniform = play(bandits(epsilon=1.0), lambda arm: float(arm == 1), 4_000)
    assert np.bincount(uniform) / 4_000 == pytest.approx([0.25] * N, abs=0.03)


def test_returns_are_whole_episodes_and_undiscounted() -> None:
    found = bandits(B=2)
    reward = [[1.0, 5.0], [2.0, 5.0], [4.0, 5.0], [8.0, 5.0]]
    reset = [[1, 1], [0, 0], [0, 0], [1, 0]]
    done = [[0, 0], [0, 0], [1, 0], [0, 0]]
    arm = np.array([[3, 1], [3, 1], [3, 1], [2, 1]])
    found.observe(batch(reward, reset, done), arm)
    assert found._returns[0, 0] == 7.0
    assert found._arms[0, 0] == 3
    assert found._n_finished.tolist() == [1, 0]
    found.observe(batch([[16.0, 1.0]], [[0, 0]], [[1, 1]]), arm[3:])
    assert found._returns[0, :2].tolist() == [7.0, 24.0]
    assert found._returns[1, 0] == 21.0
    assert found._arms[:, :2].tolist() == [[3, 2], [1, 0]]


def test_steps_that_are_not_valid_do_not_count() -> None:
    found = bandits()
    valid = [[True], [True], [False], [False]]
    data = batch([[1.0], [2.0], [50.0], [50.0]], [[1], [0], [1], [1]], [[0], [1], [1], [1]], valid)
    found.observe(data, np.zeros((4, 1), np.int64))
    assert found._n_finished.tolist() == [1]
    assert found._n_started.tolist() == [1]
    assert found._returns[0, 0] == 3.0


def test_state_is_everything() -> None:
    one, other = bandits(epsilon=0.5), bandits(epsilon=0.5)
    play(one, lambda arm: float(arm), 25)
    other.load_state_dict(one.state_dict())
    assert play(one, lambda arm: float(arm), 50) == play(other, lambda arm: float(arm), 50)
