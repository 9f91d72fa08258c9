"""A replay of many tasks: each task's transitions, and its context."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlpyt.checkpoint.tree import flatten, unflatten
from rlpyt.replays import TaskReplay, TaskTransitions
from rlpyt.utils.errors import RlpytError

OBSERVATION = spaces.Box(-np.inf, np.inf, (2,), np.float64)
ACTION = spaces.Discrete(5)


def replay(size: int = 10, n_tasks: int = 3) -> TaskReplay:
    made = TaskReplay(size=size)
    made.initialize(OBSERVATION, ACTION, n_tasks=n_tasks)
    return made


def transitions(first: int, n: int) -> TaskTransitions:
    """Numbered from ``first``."""
    number = np.arange(first, first + n)
    return TaskTransitions(
        observation=np.stack([number, number + 0.25], -1).astype(np.float64),
        action=number % 5,
        reward=number.astype(np.float32),
        context_reward=number.astype(np.float32) + 0.5,
        next_observation=np.stack([number + 1, number + 1.25], -1).astype(np.float64),
        terminated=(number % 3 == 0).astype(np.float32),
    )


def put(into: TaskReplay, task: int, first: int, n: int, *, context: Any = True) -> None:
    into.append(task, transitions(first, n), np.broadcast_to(np.array(context), (n,)))


def held(of: TaskReplay, task: int, *, context: bool = False) -> set[int]:
    draw = of.sample_context if context else of.sample
    drawn = draw(np.array([task]), 500, np.random.default_rng(0))
    return set(drawn.reward[0].int().tolist())


def test_a_sample_is_of_the_tasks_asked_for_with_all_that_belongs_to_it():
    of = replay()
    put(of, 0, 100, 4)
    put(of, 2, 200, 6)
    drawn = of.sample(np.array([2, 0, 2]), 8, np.random.default_rng(1))
    assert drawn.reward.shape == (3, 8)
    number = drawn.reward.double()
    assert torch.equal((number // 100).int(), torch.tensor([2, 1, 2]).int()[:, None].expand(3, 8))
    assert drawn.observation.dtype == torch.float32
    assert torch.equal(drawn.observation, torch.stack([number, number + 0.25], -1).float())
    assert torch.equal(drawn.next_observation, drawn.observation + 1)
    assert torch.equal(drawn.action, number.long() % 5)
    assert torch.equal(drawn.context_reward, drawn.reward + 0.5)
    assert torch.equal(drawn.terminated, (number % 3 == 0).float())
    assert held(of, 0) == {100, 101, 102, 103}
    assert of.ready().tolist() == [0, 2]
    assert [of.n_stored(task) for task in range(3)] == [4, 0, 6]


def test_draws_are_uniform():
    of = replay()
    put(of, 1, 0, 4)
    drawn = of.sample(np.array([1]), 40_000, np.random.default_rng(2)).reward[0].int()
    counts = torch.bincount(drawn, minlength=4)
    assert (counts - 10_000).abs().max() < 400


def test_the_context_is_that_of_the_last_trial():
    of = replay()
    of.begin_trial(1)
    put(of, 1, 0, 3)
    assert held(of, 1, context=True) == {0, 1, 2}
    put(of, 1, 3, 2, context=False)
    assert held(of, 1, context=True) == {0, 1, 2}
    assert held(of, 1) == {0, 1, 2, 3, 4}
    of.begin_trial(1)
    assert of.n_context(1) == 0
    assert of.ready().tolist() == []
    put(of, 1, 5, 3, context=[True, False, True])
    assert held(of, 1, context=True) == {5, 7}
    assert held(of, 1) == set(range(8))


def test_the_oldest_make_room_and_never_those_of_the_context():
    of = replay(size=5)
    for first in (0, 4, 8):
        of.begin_trial(0)
        put(of, 0, first, 4)
        assert held(of, 0, context=True) == set(range(first, first + 4))
    assert held(of, 0) == {7, 8, 9, 10, 11}
    assert of.n_stored(0) == 5
    put(of, 0, 12, 1)
    assert held(of, 0, context=True) == set(range(8, 13))
    with pytest.raises(RlpytError, match=r"a trial of 6 transitions or more in a replay of 5"):
        put(of, 0, 13, 1)


def test_windows_are_consecutive_and_of_any_length():
    of = replay(size=20)
    of.begin_trial(0)
    put(of, 0, 0, 8, context=[True] * 4 + [False] + [True] * 3)
    of.begin_trial(1)
    put(of, 1, 10, 2)
    context = [[0, 1, 2, 3, 5, 6, 7], [10, 11]]
    tasks = np.array([0, 1] * 500)
    drawn, valid = of.sample_windows(tasks, 4, np.random.default_rng(0))
    lengths = valid.sum(1)
    assert set(lengths[0::2].tolist()) == {1, 2, 3, 4}
    assert set(lengths[1::2].tolist()) == {1, 2}
    counts = torch.bincount(lengths[0::2], minlength=5)[1:]
    assert (counts - 125).abs().max() < 45
    firsts = set()
    for task, rewards, counted in zip(tasks, drawn.reward.int().tolist(), valid, strict=True):
        window = [reward for reward, counts in zip(rewards, counted, strict=True) if counts]
        at = context[task].index(window[0])
        assert window == context[task][at : at + len(window)]
        firsts.add(window[0])
    assert firsts == {0, 1, 2, 3, 10}  # there is room for 4 behind each


def test_it_goes_on_from_its_state():
    of = replay(size=6)
    for task, first in ((0, 0), (2, 50), (0, 20)):
        of.begin_trial(task)
        put(of, task, first, 4, context=[True, True, False, True])
    arrays, skeleton = flatten(of.state_dict())
    other = replay(size=6)
    other.load_state_dict(unflatten({k: v.clone() for k, v in arrays.items()}, skeleton))
    for one in (of, other):
        put(one, 0, 24, 2)
    tasks = np.array([0, 2, 0])
    for name in ("sample", "sample_context"):
        drawn = [getattr(one, name)(tasks, 20, np.random.default_rng(3)) for one in (of, other)]
        assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True)), name
    with pytest.raises(RlpytError, match="a replay of 3 tasks, expected 4"):
        replay(n_tasks=4).load_state_dict(of.state_dict())


def test_what_cannot_be_is_refused_and_the_forecast_is_what_it_takes():
    with pytest.raises(RlpytError, match="size=0"):
        replay(size=0)
    row = 4 * (2 + 2) + 8 + 3 * 4  # bytes of observations, action, numbers
    assert TaskReplay(size=10).forecast(OBSERVATION, ACTION, n_tasks=3) == 30 * (row + 8)
    with pytest.raises(RlpytError, match="of memory are free"):
        replay(size=10**12)


@pytest.mark.parametrize(("size", "fits"), [(10, True), (9, False), (11, False)])
def test_what_went_around_is_taken_by_a_replay_of_its_own_size_only(size: int, fits: bool):
    """Another one would hand out zeros for what it never saw."""
    of, other = replay(size=10), replay(size=size)
    put(of, 1, 0, 8)
    of.begin_trial(1)
    put(of, 1, 8, 8)
    if fits:
        other.load_state_dict(of.state_dict())
        assert held(other, 1) == held(of, 1) == set(range(6, 16))
        return
    with pytest.raises(RlpytError, match=r"10 of 16 transitions of task 1, algo\.replay\.size="):
        other.load_state_dict(of.state_dict())


def test_what_fits_is_taken_by_a_larger_replay():
    of, other = replay(size=10), replay(size=20)
    put(of, 1, 0, 8)
    other.load_state_dict(of.state_dict())
    assert held(other, 1) == set(range(8))
