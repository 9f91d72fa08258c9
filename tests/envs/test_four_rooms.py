"""Four rooms: what is reachable, what is observed, what is counted, what is logged."""

import time
from collections import deque
from typing import Any

import numpy as np
import pytest
import torch
from env_fakes import allocate, assert_same_tree

from rlpyt.agents import PgAgent
from rlpyt.cli.main import main
from rlpyt.envs import (
    FOUR_ROOMS_INFO_KEYS,
    EnvConfig,
    FourRooms,
    FourRoomsTrajInfo,
    build_vector_env,
    check_env,
)
from rlpyt.samplers import SerialSampler
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.errors import RlpytError

UP, RIGHT, DOWN, LEFT = range(4)


def place(env: FourRooms, actions: list[int]) -> tuple[int, int]:
    """(row, column) after these actions from the start, read off the one-hot observation."""
    observation, _ = env.reset()
    for action in actions:
        observation, *_ = env.step(action)
    row, column = np.split(observation, 2)
    assert row.sum() == column.sum() == 1
    return int(row.argmax()), int(column.argmax())


def reachable(size: int) -> dict[tuple[int, int], list[int]]:
    """Every cell that actions lead to, with shortest actions."""
    env = FourRooms(size=size, one_hot=True, episode_steps=10_000)
    found = {(0, 0): []}
    waiting: deque[list[int]] = deque([[]])
    while waiting:
        actions = waiting.popleft()
        for action in range(4):
            cell = place(env, [*actions, action])
            if cell not in found:
                found[cell] = [*actions, action]
                waiting.append([*actions, action])
    return found


def test_walls_and_doors_are_where_the_documentation_says() -> None:
    found = reachable(9)
    walls = {(4, i) for i in range(9)} | {(i, 4) for i in range(9)}
    doors = {(4, 2), (4, 6), (2, 4), (6, 4)}
    assert set(found) == {(r, c) for r in range(9) for c in range(9)} - walls | doors
    assert len(found) == FourRooms(size=9).n_cells == 81 - (2 * 9 - 5)
    assert len(found[8, 8]) == 16  # no way is out of the way


@pytest.mark.parametrize("size", [5, 6, 20, 21])
def test_every_free_cell_can_be_reached(size: int) -> None:
    env = FourRooms(size=size)
    seen, waiting = {0}, [0]
    while waiting:
        for cell in env._next[waiting.pop()]:
            if cell not in seen:
                seen.add(cell)
                waiting.append(cell)
    assert len(seen) == env.n_cells == size * size - 2 * size + 5
    assert size * size - 1 in seen


def test_different_cells_are_counted_once_each_and_anew_each_episode() -> None:
    env = FourRooms()
    assert env.reset()[1] == {"cells_visited": 1}
    counts = [env.step(action)[4]["cells_visited"] for action in (UP, RIGHT, LEFT, DOWN, UP, RIGHT)]
    assert counts == [1, 2, 2, 3, 3, 3]
    assert env.reset()[1] == {"cells_visited": 1}
    assert env.step(DOWN)[4] == {"cells_visited": 2}


def test_without_a_goal_nothing_is_paid_until_time_is_up() -> None:
    env = FourRooms(size=5, episode_steps=30)
    env.reset()
    env.action_space.seed(0)
    steps = [env.step(env.action_space.sample())[1:4] for _ in range(30)]
    assert steps == [(0.0, False, False)] * 29 + [(0.0, False, True)]


def test_the_goal_pays_and_ends() -> None:
    env = FourRooms(size=9, goal=True)
    env.reset()
    *before, last = [env.step(action)[1:4] for action in reachable(9)[8, 8]]
    assert set(before) == {(0.0, False, False)}
    assert last == (1.0, True, False)


def test_a_goal_found_at_the_last_moment_is_found() -> None:
    way = reachable(9)[8, 8]
    env = FourRooms(size=9, goal=True, episode_steps=len(way))
    env.reset()
    assert [env.step(action)[1:4] for action in way][-1] == (1.0, True, False)


def test_coordinates_are_scaled() -> None:
    env = FourRooms(size=5)
    observation, _ = env.reset()
    assert observation.tolist() == [-1.0, -1.0]
    assert env.step(RIGHT)[0].tolist() == [-1.0, -0.5]
    assert env.step(DOWN)[0].tolist() == [-0.5, -0.5]


def test_images_show_walls_agent_and_goal() -> None:
    env = FourRooms(size=5, image=True, goal=True)
    first, _ = env.reset()
    second = env.step(DOWN)[0]
    assert np.argwhere(first[1]).tolist() == [[0, 0]]  # not changed by the step
    assert np.argwhere(second[1]).tolist() == [[1, 0]]
    assert second[0].tolist() == [
        [0, 0, 255, 0, 0],
        [0, 0, 0, 0, 0],
        [255, 0, 255, 0, 255],
        [0, 0, 0, 0, 0],
        [0, 0, 255, 0, 0],
    ]
    assert np.argwhere(second[2]).tolist() == [[4, 4]]
    assert not FourRooms(size=5, image=True).reset()[0][2].any()


@pytest.mark.parametrize("kwargs", [{}, {"one_hot": True}, {"image": True}, {"goal": True}])
def test_the_checker_finds_nothing(kwargs: dict[str, Any]) -> None:
    report = check_env("rlpyt.envs.four_rooms:FourRooms", {"episode_steps": 50, **kwargs})
    assert [finding.topic for finding in report.problems] == ["seed"]  # there is no chance in it


def test_env_check_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env-check", "rlpyt.envs.four_rooms:FourRooms"]) == 0
    assert "Box(-1.0, 1.0, (2,), float32)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"size": 4}, "size=4 must be at least 5"),
        ({"episode_steps": 0}, "episode_steps=0"),
        ({"image": True, "one_hot": True}, "two observations"),
    ],
)
def test_settings_that_cannot_be_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(RlpytError, match=message):
        FourRooms(**kwargs)


def test_its_state_is_saved_exactly() -> None:
    config = EnvConfig(id=FourRooms, info_keys=FOUR_ROOMS_INFO_KEYS)
    actions = np.random.default_rng(0).integers(4, size=(80, 2))
    one, other = (build_vector_env(config, range(2), seed=0) for _ in range(2))
    info = namedarraytuple("Info", FOUR_ROOMS_INFO_KEYS)(np.float32(0))
    (first, out), (second, expected) = allocate(one, info), allocate(other, info)
    one.reset(first)
    other.reset(second)
    for row in actions[:40]:
        one.step(row, out)
    other.load_state_dict(one.state_dict(), out.observation)
    for row in actions[40:]:
        one.step(row, out)
        other.step(row, expected)
        assert_same_tree(out, expected)
    one.close()
    other.close()


def run(TrajInfoCls: Any, info_keys: tuple[str, ...]) -> list[Any]:
    env = EnvConfig(id=FourRooms, kwargs={"episode_steps": 20}, info_keys=info_keys)
    sampler = SerialSampler(env=env, batch_T=30, batch_B=2, TrajInfoCls=TrajInfoCls)
    agent = PgAgent()
    agent.initialize(sampler.env_spaces(), seed=0, device=torch.device("cpu"))
    sampler.initialize(agent, seed=0)
    try:
        return sampler.obtain_samples(0)[1]
    finally:
        sampler.shutdown()


def test_the_log_has_the_cells_visited() -> None:
    trajs = run(FourRoomsTrajInfo, FOUR_ROOMS_INFO_KEYS)
    assert len(trajs) == 2
    assert all(2 <= traj.columns()["CellsVisited"] <= 21 for traj in trajs)
    with pytest.raises(RlpytError, match="the cells visited are not recorded"):
        run(FourRoomsTrajInfo, ())


@pytest.mark.bench
def test_a_step_takes_microseconds() -> None:
    env = FourRooms()
    env.reset()
    start = time.process_time()
    for _ in range(20_000):
        env.step(RIGHT)
    assert time.process_time() - start < 0.2  # 10 microseconds each
