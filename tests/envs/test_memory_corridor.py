"""The memory corridor: 1 with memory, 0 at best without."""

from collections.abc import Callable
from itertools import product

import pytest

from rlpyt.envs import MemoryCorridor, check_env, make_env
from rlpyt.utils.errors import RlpytError

CORRIDOR, LEFT, RIGHT, JUNCTION = range(4)  # observations
FORWARD, TURN_LEFT, TURN_RIGHT = range(3)  # actions
TURN_TO = {LEFT: TURN_LEFT, RIGHT: TURN_RIGHT}
Shown = tuple[int, int, float]  # observation, previous action, previous reward


def start(length: int, cue: int) -> MemoryCorridor:
    """An environment that shows ``cue``."""
    env = MemoryCorridor(length=length)
    for seed in range(100):
        if env.reset(seed=seed)[0] == cue:
            return env
    raise AssertionError(f"no seed shows {cue}")


def episode(length: int, cue: int, policy: Callable[[int], int]) -> tuple[float, list[Shown]]:
    """The return, and what was shown before each action."""
    env = start(length, cue)
    shown, total, ended = [(cue, FORWARD, 0.0)], 0.0, False
    while not ended:
        action = policy(shown[-1][0])
        seen, reward, ended, truncated, _ = env.step(action)
        assert not truncated
        total += reward
        shown.append((seen, action, reward))
    return total, shown[:-1]


@pytest.mark.parametrize("cue", [LEFT, RIGHT])
@pytest.mark.parametrize("length", [1, 4])
def test_who_remembers_the_cue_earns_one(length: int, cue: int) -> None:
    total, shown = episode(length, cue, lambda seen: TURN_TO[cue] if seen == JUNCTION else FORWARD)
    assert total == 1.0
    assert [seen for seen, *_ in shown] == [cue, *[CORRIDOR] * (length - 1), JUNCTION]


@pytest.mark.parametrize("length", [1, 3])
def test_no_policy_without_memory_earns_more_than_zero(length: int) -> None:
    """All deterministic ones, of which the others are mixtures; and what is shown behind the cue
    tells nothing of it, previous action and reward included.
    """
    means, behind_the_cue = [], set()
    for policy in product(range(3), repeat=4):
        totals = []
        for cue in (LEFT, RIGHT):
            total, shown = episode(length, cue, policy.__getitem__)
            totals.append(total)
            behind_the_cue.update(shown[1:])
        means.append(sum(totals) / 2)
    assert max(means) == 0.0
    assert min(means) == -1.0
    assert behind_the_cue <= {(CORRIDOR, FORWARD, 0.0), (JUNCTION, FORWARD, 0.0)}


@pytest.mark.parametrize(
    ("steps", "last"),
    [(0, TURN_LEFT), (0, TURN_RIGHT), (1, TURN_LEFT), (2, FORWARD), (2, TURN_RIGHT)],
)
def test_a_wrong_step_ends_the_episode(steps: int, last: int) -> None:
    env = start(2, LEFT)
    for _ in range(steps):
        assert env.step(FORWARD)[1:4] == (0.0, False, False)
    assert env.step(last)[1:4] == (-1.0, True, False)


def test_cues_are_even_and_the_seeds() -> None:
    env, other = MemoryCorridor(), MemoryCorridor()
    cues = [env.reset(seed=0 if n == 0 else None)[0] for n in range(400)]
    assert cues == [other.reset(seed=0 if n == 0 else None)[0] for n in range(400)]
    assert set(cues) == {LEFT, RIGHT}
    assert 150 < cues.count(LEFT) < 250


def test_is_found_by_name_and_passes_the_check() -> None:
    name = "rlpyt.envs:MemoryCorridor"
    assert isinstance(make_env(name, {"length": 3}), MemoryCorridor)
    assert check_env(name, {"length": 3}, steps=200).ok


def test_a_corridor_has_a_length() -> None:
    with pytest.raises(RlpytError, match=r"length=0 must be at least 1"):
        MemoryCorridor(length=0)
