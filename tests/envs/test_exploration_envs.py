"""The sparse chain and the key-door grid: solved by who knows the way, not by who wanders."""

from collections import deque
from typing import Any

import numpy as np
import pytest

from rlpyt.envs import EnvConfig, KeyDoorGrid, SparseChain, check_env, peek_spaces
from rlpyt.utils.errors import RlpytError


def test_the_chain_pays_at_its_end() -> None:
    env = SparseChain(length=7, layout_seed=3)
    seen, _info = env.reset(seed=0)
    assert seen.tolist() == [1.0, 0.0, 0.0, 0.0]
    for step, action in enumerate(env.onward):
        seen, reward, terminated, truncated, _info = env.step(int(action))
        cell = step + 1
        assert seen.sum() == (1.0 if cell % 2 == 0 else 0.0)
        assert (reward, terminated, truncated) == (float(cell == 7), cell == 7, False)


def test_the_way_back_and_the_distraction() -> None:
    env = SparseChain(length=4, distraction=0.25)
    env.reset(seed=0)
    first, second = (int(action) for action in env.onward[:2])
    assert env.step(1 - first)[1] == 0.25
    env.step(first)
    seen, reward, *_rest = env.step(1 - second)
    assert (seen.argmax(), reward) == (0, 0.0)
    ends = [env.step(1 - first)[2] for _ in range(5)]
    assert ends == [False] * 4 + [True]  # eight steps in all


def test_the_chains_actions_differ_from_cell_to_cell() -> None:
    onward = SparseChain(length=30).onward
    assert 5 < onward.sum() < 25
    assert (SparseChain(length=30, layout_seed=1).onward != onward).any()
    assert (SparseChain(length=30).onward == onward).all()


def way(env: KeyDoorGrid, start: Any, goal: Any, avoid: Any) -> list[int]:
    """The shortest way, by breadth-first search over the grid."""
    moves = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    paths: dict[Any, list[int]] = {start: []}
    queue = deque([start])
    while queue:
        at = queue.popleft()
        for action, (down, right) in enumerate(moves):
            there = (at[0] + down, at[1] + right)
            if env._floor[there] and there not in paths and there not in avoid:
                paths[there] = [*paths[at], action]
                queue.append(there)
    return paths[goal]


@pytest.mark.parametrize("right_key", [True, False])
@pytest.mark.parametrize("size", [3, 5, 6])
def test_the_grid_pays_for_the_key_of_the_cue(size: int, right_key: bool) -> None:
    env = KeyDoorGrid(size=size)
    cues = set()
    for seed in range(12):
        seen, _info = env.reset(seed=seed)
        cue = int(seen[-2:].argmax())
        cues.add(cue)
        key = cue if right_key else 1 - cue
        actions = way(env, env.start, env.keys[key], {env.door, env.exit, env.keys[1 - key]})
        actions += way(env, env.keys[key], env.door, {env.exit})
        assert len(actions) < 8 * size
        for n, action in enumerate(actions):
            seen, reward, terminated, truncated, _info = env.step(action)
            assert seen[-2:].tolist() == [0.0, 0.0]  # the cue is not shown again
            assert terminated == (n == len(actions) - 1)
            assert not truncated
        assert reward == float(right_key)
    assert cues == {0, 1}


def test_the_door_is_locked_without_a_key_and_the_clock_ends_it() -> None:
    env = KeyDoorGrid(size=4)
    env.reset(seed=0)
    row, column = env.door
    env._at = (row, column - 1)  # no way leads here but over a key
    for _ in range(31):
        _seen, reward, terminated, *_rest = env.step(3)
        assert (reward, terminated) == (0.0, False)
        assert env._at == (row, column - 1)
    assert env.step(3)[1:3] == (0.0, True)


def test_the_exit_pays_a_little_and_ends_it() -> None:
    for distraction in (0.1, 0.0):
        env = KeyDoorGrid(size=5, distraction=distraction)
        seen, _info = env.reset(seed=0)
        ways = way(env, env.start, env.exit, set())
        assert len(ways) == 2
        rewards, ends = zip(*(env.step(action)[1:3] for action in ways), strict=True)
        assert rewards == (0.0, distraction)
        assert ends == (False, distraction > 0.0)
        assert env.observation_space.contains(seen)
    with pytest.raises(RlpytError, match=r"distraction=0\.5 must be"):
        KeyDoorGrid(distraction=0.5)


@pytest.mark.parametrize("make", [SparseChain, KeyDoorGrid])
def test_wandering_earns_next_to_nothing(make: Any) -> None:
    env, rng = make(), np.random.default_rng(0)
    won = 0
    env.reset(seed=0)
    for _ in range(10_000):
        _seen, reward, ended, *_rest = env.step(int(rng.integers(env.action_space.n)))
        won += reward == 1.0
        if ended:
            env.reset()
    assert won <= 3


@pytest.mark.parametrize("name", ["sparse_chain:SparseChain", "key_door:KeyDoorGrid"])
def test_they_are_environments_by_name(name: str) -> None:
    config = EnvConfig(id=f"rlpyt.envs.{name}")
    assert peek_spaces(config).observation.shape
    assert check_env(f"rlpyt.envs.{name}").ok


@pytest.mark.parametrize("make", [lambda: SparseChain(length=0), lambda: KeyDoorGrid(size=2)])
def test_too_small(make: Any) -> None:
    with pytest.raises(RlpytError, match="must be at least"):
        make()
