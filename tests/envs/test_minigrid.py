"""MiniGrid's view as an image: what its channels say."""

import numpy as np
import pytest

from rlpyt.envs import EnvConfig, check_env, peek_spaces
from rlpyt.envs.gym import make_env
from rlpyt.envs.minigrid import MiniGridImage, minigrid
from rlpyt.models.conv2d import image_size
from rlpyt.utils.errors import RlpytError

pytest.importorskip("minigrid", reason="the optional package minigrid is not installed")

ID = "MiniGrid-DoorKey-8x8-v0"


def views(encoding):
    """The plain view [7, 7, 3] and its image, after the same steps."""
    plain, env = make_env(ID), minigrid(env=ID, encoding=encoding)
    pairs = [(plain.reset(seed=3)[0]["image"], env.reset(seed=3)[0])]
    actions = (0, 2, 1, 2, 2, 1, 2)
    pairs += [(plain.step(action)[0]["image"], env.step(action)[0]) for action in actions]
    assert not np.array_equal(pairs[0][0], pairs[-1][0])
    return pairs


def test_one_hot_has_a_channel_for_each_object_color_and_state():
    for cells, image in views("one_hot"):
        assert image.shape == (20, 7, 7)
        assert set(np.unique(image)) == {0, 255}
        for x in range(7):
            for y in range(7):
                kind, color, state = cells[x, y]
                assert np.flatnonzero(image[:, y, x]).tolist() == [kind, 11 + color, 17 + state]


@pytest.mark.parametrize(("encoding", "factors"), [("scaled", (25, 51, 127)), ("index", (1, 1, 1))])
def test_indices_are_scaled_or_left(encoding, factors):
    for cells, image in views(encoding):
        assert image.shape == (3, 7, 7)
        assert image.dtype == np.uint8
        for channel, factor in enumerate(factors):
            np.testing.assert_array_equal(image[channel], cells[:, :, channel].T * factor)


def test_networks_take_it_channels_first():
    for encoding, channels in (("one_hot", 20), ("scaled", 3)):
        config = EnvConfig(id=minigrid, kwargs={"env": ID, "encoding": encoding})
        assert image_size(peek_spaces(config).observation.shape) == (channels, 7, 7)


def test_the_checker_finds_no_error():
    assert check_env("rlpyt.envs.minigrid:minigrid", {"env": ID}, steps=200).ok


def test_what_cannot_be_is_refused():
    with pytest.raises(RlpytError, match="encoding='hot' is none of one_hot, scaled, index"):
        minigrid(env=ID, encoding="hot")
    with pytest.raises(RlpytError, match="no image of objects"):
        MiniGridImage(make_env("CartPole-v1"))
