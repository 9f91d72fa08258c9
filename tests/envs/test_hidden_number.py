"""The smallest family of tasks: a number that only the reward tells of."""

import numpy as np
import pytest

from rlpyt.envs.identity import HiddenNumber, hidden_number


def test_pays_for_naming_the_number_of_the_task():
    env = hidden_number(episode_steps=3)
    env.unwrapped.set_task({"number": 0.5})
    seen, _ = env.reset(seed=0)
    assert seen.tolist() == [0.0]
    for action, expected, ends in ((0.5, 1.0, False), (0.0, 0.75, False), (-0.5, 0.0, True)):
        seen, reward, terminated, truncated, _ = env.step(np.array([action], np.float32))
        assert (reward, terminated, truncated) == (pytest.approx(expected), False, ends)
        assert seen.tolist() == [0.0]  # nothing tells of it


def test_tasks_are_drawn_evenly_and_come_back():
    env = HiddenNumber()
    tasks = env.sample_tasks(2000, np.random.default_rng(0))
    numbers = np.array([task["number"] for task in tasks])
    assert abs(numbers.mean()) < 0.05
    assert np.quantile(numbers, [0.1, 0.9]) == pytest.approx([-0.8, 0.8], abs=0.05)
    env.set_task(tasks[7])
    assert env.get_task() == tasks[7]
