"""What the comparison of frame stacks notices, and what it does not."""

import numpy as np
import pytest

from rlpyt.replays.frame_check import FrameCheck
from rlpyt.replays.storage import Chunk

B, SIZE = 2, 96  # twelve strips of one word each, for n = 4
N_ROWS = 900  # strips are compared from row 256 on


def stacks_of(rng, n, n_rows=N_ROWS, high=256):
    """Stacks [n_rows, B, n, SIZE]."""
    frames = rng.integers(0, high, (n_rows + n - 1, B, SIZE), dtype=np.uint8)
    return np.stack([frames[i : i + n_rows] for i in range(n)], axis=2)


def follows(stacks, T, *, first=1, starts=None, linked=None):
    """What is found of the rows from ``first`` on, given ``T`` at a time; [n_rows - first, B]."""
    check, found = FrameCheck(stacks.shape[2], SIZE), []
    yes, no = np.ones(stacks.shape[:2], bool), np.zeros(stacks.shape[:2], bool)
    starts, linked = no if starts is None else starts, yes if linked is None else linked
    for row in range(first, len(stacks), T):
        rows = slice(row, row + T)
        chunk = Chunk((), yes[rows], linked[rows], linked[rows].all(), starts[rows], None)
        found.append(check.follows(stacks[rows], stacks[row - 1][:, 1:], chunk, row))
    return np.concatenate(found)


def by_hand(stacks, first=1):
    return (stacks[first:, :, :-1] == stacks[first - 1 : -1, :, 1:]).all(axis=(2, 3))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("T", [1, 2, 16, 100])
def test_stacks_follow_each_other(n, T):
    assert follows(stacks_of(np.random.default_rng(n), n), T).all()


@pytest.mark.parametrize("T", [1, 3, 16, 100])
def test_episodes_that_start_with_stacks_that_look_alike_are_told_apart_exactly(T):
    rng = np.random.default_rng(T)
    stacks = stacks_of(rng, 4, high=2)
    stacks[..., 1:] = 0  # eleven of the twelve strips always agree
    starts = rng.random(stacks.shape[:2]) < 0.1
    for t, b in np.argwhere(starts):
        stacks[t, b, :-1] = rng.integers(0, 2) * stacks[t, b, -1:]
        for later in range(t + 1, min(t + 4, N_ROWS)):
            stacks[later, b, :-1] = stacks[later - 1, b, 1:]
    linked = rng.random(stacks.shape[:2]) < 0.95
    expected = by_hand(stacks) & linked[1:]
    assert 0 < expected[starts[1:]].sum() < starts.sum()
    assert (follows(stacks, T, starts=starts, linked=linked) == expected).all()


def replaced(stacks, change):
    """``stacks`` as ``change`` leaves them from row 300 on: [row, B, n, SIZE]."""
    stacks = stacks.copy()
    stacks[300:] = change(stacks[300:])
    return stacks


WRONG = {
    "newest first": lambda stacks: stacks[:, :, ::-1],
    "one frame repeated": lambda stacks: np.repeat(stacks[:, :, -1:], 4, axis=2),
    "no stacks": lambda stacks: np.random.default_rng(1).integers(0, 256, stacks.shape, np.uint8),
    "every second frame": lambda stacks: stacks.repeat(2, axis=0)[: len(stacks)],
    "noise on whole stacks": lambda stacks: (
        stacks ^ np.random.default_rng(1).integers(0, 2, (*stacks.shape[:2], 1, SIZE), np.uint8)
    ),
    "older frames shifted": lambda stacks: np.concatenate(
        [np.roll(stacks[:, :, :-1], 1, axis=3), stacks[:, :, -1:]], axis=2
    ),
}


@pytest.mark.parametrize("T", [1, 16])
@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_stops_to_be_a_stack_in_the_middle_is_noticed_within_two_rows(change, T):
    found = follows(replaced(stacks_of(np.random.default_rng(0), 4), change), T, first=257)
    assert found[: 300 - 257].all()
    assert not found[300 - 257 :][:2].all(axis=0).any()


@pytest.mark.parametrize("T", [1, 16, 48])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("pixel", [0, 37, 95])
def test_a_pixel_that_is_always_wrong_is_noticed_when_its_strip_has_its_turn(T, place, pixel):
    stacks = stacks_of(np.random.default_rng(0), 4)
    stacks[300:, :, place, pixel] ^= 1
    found = follows(stacks, T, first=256 + 16)
    assert found[: 300 - 272].all()
    last = 300 - 272 + 12 * max(T, 16)
    assert not found[:last].all(axis=0).any()


def test_one_wrong_pixel_is_always_noticed_in_the_first_rows_and_where_an_episode_starts():
    stacks = stacks_of(np.random.default_rng(0), 4)
    starts = np.zeros(stacks.shape[:2], bool)
    starts[401] = True  # the first row of an append
    for row in (1, 2, 100, 255, 401, 402, 403):
        for place in range(3):
            wrong = stacks.copy()
            wrong[row, 1, place, 50] ^= 1
            expected = by_hand(wrong)[row - 1]
            assert (follows(wrong, 16, starts=starts)[row - 1] == expected).all()
            assert expected.tolist() == [True, False]


def test_one_wrong_pixel_in_the_middle_may_pass():
    # As the docstring says: of each older frame one strip of twelve is compared.
    stacks = stacks_of(np.random.default_rng(0), 4)
    noticed = 0
    for pixel in range(0, SIZE, 8):
        wrong = stacks.copy()
        wrong[400, 0, 1, pixel] ^= 1
        noticed += not follows(wrong, 16, first=257)[400 - 257, 0]
    assert noticed == 1
