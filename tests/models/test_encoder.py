import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.nn.functional import one_hot

from rlpyt.envs.spaces import tree_class
from rlpyt.models.encoder import encoder_for
from rlpyt.utils.errors import RlpytError

VECTOR = spaces.Box(-1, 1, (3,), np.float32)


def test_a_float_vector_passes_through_untouched():
    encoder = encoder_for(VECTOR)
    observation = torch.randn(5, 2, 3)
    assert encoder.is_identity
    assert encoder(observation) is observation
    assert encoder.feature_size == 3
    assert not list(encoder.state_dict())


@pytest.mark.parametrize("leading", [(4,), (5, 2), ()])
def test_box_shapes_and_dtypes_are_flattened_to_float(leading):
    for shape in ((), (2, 3)):
        for dtype in (np.float32, np.int64):
            encoder = encoder_for(spaces.Box(-9, 9, shape, dtype))
            observation = torch.randint(-9, 9, (*leading, *shape)).to(
                torch.float32 if dtype is np.float32 else torch.int64
            )
            out = encoder(observation)
            assert out.dtype == torch.float32
            assert torch.equal(out, observation.reshape(*leading, -1).float())


def test_uint8_vectors_are_divided_by_their_upper_bound():
    encoder = encoder_for(spaces.Box(0, 255, (4,), np.uint8))
    ram = torch.tensor([[0, 51, 255, 102]], dtype=torch.uint8)
    torch.testing.assert_close(encoder(ram), torch.tensor([[0, 0.2, 1, 0.4]]))
    board = encoder_for(spaces.Box(0, 2, (3, 3), np.uint8), image="flatten")
    torch.testing.assert_close(board(torch.full((1, 3, 3), 2).byte()), torch.ones(1, 9))


@pytest.mark.parametrize("leading", [(4,), (5, 2), ()])
def test_discrete_is_one_hot(leading):
    encoder = encoder_for(spaces.Discrete(6, start=2))
    index = torch.randint(0, 6, leading)
    assert torch.equal(encoder(index), one_hot(index, 6).float())
    assert encoder.feature_size == 6


def test_multi_discrete_is_one_one_hot_per_entry():
    encoder = encoder_for(spaces.MultiDiscrete([[2, 3], [4, 5]]))
    index = torch.stack([torch.randint(0, n, (7, 3)) for n in (2, 3, 4, 5)], -1)
    expected = torch.cat([one_hot(index[..., i], n) for i, n in enumerate((2, 3, 4, 5))], -1)
    assert torch.equal(encoder(index.reshape(7, 3, 2, 2)), expected.float())


def test_multi_binary_is_float():
    encoder = encoder_for(spaces.MultiBinary(4))
    bits = torch.randint(0, 2, (7, 4), dtype=torch.int8)
    assert torch.equal(encoder(bits), bits.float())


SPACE = spaces.Dict(
    {
        "action_mask": spaces.MultiBinary(3),
        "image": spaces.Box(0, 255, (36, 36, 3), np.uint8),
        "inner": spaces.Dict({"action_mask": VECTOR, "level": spaces.Discrete(4)}),
        "vector": VECTOR,
    }
)


def observation_of(leading):
    inner = tree_class(SPACE["inner"])(torch.randn(*leading, 3), torch.randint(0, 4, leading))
    return tree_class(SPACE)(
        torch.ones(*leading, 3, dtype=torch.int8),
        torch.randint(0, 256, (*leading, 36, 36, 3), dtype=torch.uint8),
        inner,
        torch.randn(*leading, 3),
    )


@pytest.mark.parametrize(("image", "size"), [("nature", 512), ("impala", 256)])
def test_fusion_concatenates_every_leaf_but_the_top_level_mask(image, size):
    encoder = encoder_for(SPACE, image=image)
    observation = observation_of((2, 3))
    out = encoder(observation)
    assert encoder.feature_size == size + 3 + 4 + 3
    assert out.shape == (2, 3, encoder.feature_size)
    expected = [observation.inner.action_mask, one_hot(observation.inner.level, 4).float()]
    assert torch.equal(out[..., size:], torch.cat([*expected, observation.vector], -1))
    other = observation._replace(action_mask=observation.action_mask * 0)
    assert torch.equal(encoder(other), out)
    brighter = observation._replace(image=255 - observation.image)
    assert not torch.equal(encoder(brighter)[..., :size], out[..., :size])


def test_a_lone_leaf_beside_the_mask():
    space = spaces.Dict({"action_mask": spaces.MultiBinary(3), "board": VECTOR})
    vector = torch.randn(4, 3)
    tree = tree_class(space)(torch.ones(4, 3, dtype=torch.int8), vector)
    encoder = encoder_for(space)
    assert torch.equal(encoder(tree), vector)
    assert not encoder.is_identity


def test_hidden_layers_follow_the_fusion():
    encoder = encoder_for(SPACE, hidden_sizes=(16, 8), nonlinearity="relu")
    out = encoder(observation_of((2,)))
    assert out.shape == (2, 8)
    assert (out >= 0).all()
    assert encoder_for(VECTOR, hidden_sizes=(8,)).feature_size == 8
    assert not encoder_for(VECTOR, hidden_sizes=(8,)).is_identity


def test_a_float_image_in_unit_range_is_not_scaled():
    unit = encoder_for(spaces.Box(0, 1, (3, 36, 36), np.float32))
    byte = encoder_for(spaces.Box(0, 255, (3, 36, 36), np.uint8))
    byte.load_state_dict(unit.state_dict())
    image = torch.randint(0, 256, (2, 3, 36, 36), dtype=torch.uint8)
    torch.testing.assert_close(unit(image.float() / 255), byte(image), rtol=1e-5, atol=1e-5)


def test_features_follow_the_module_s_dtype():
    encoder = encoder_for(spaces.Tuple((spaces.Discrete(3), spaces.MultiBinary(2)))).double()
    tree = tree_class(spaces.Tuple((spaces.Discrete(3), spaces.MultiBinary(2))))(
        torch.tensor([1]), torch.ones(1, 2, dtype=torch.int8)
    )
    assert encoder(tree).dtype == torch.float64


def test_errors():
    with pytest.raises(RlpytError, match="nothing to encode"):
        encoder_for(spaces.Dict({"action_mask": spaces.MultiBinary(3)}))
    with pytest.raises(RlpytError, match="cannot be encoded"):
        encoder_for(spaces.Text(5))
    with pytest.raises(RlpytError, match="did you mean 'nature'"):
        encoder_for(VECTOR, image="natur")
    with pytest.raises(RlpytError, match="4 dimensions"):
        encoder_for(spaces.Box(0, 255, (4, 84, 84, 3), np.uint8))


@pytest.mark.parametrize(
    ("shape", "dtype", "size"),
    [
        ((7, 7, 3), np.uint8, 128),
        ((10, 10, 4), np.bool_, 128),
        ((35, 36, 3), np.uint8, 128),
        ((36, 36, 3), np.uint8, 512),
        ((4, 84, 84), np.uint8, 512),
    ],
)
def test_images_of_a_few_cells_get_a_small_trunk_by_themselves(shape, dtype, size):
    space = spaces.Box(0, 255 if dtype == np.uint8 else 1, shape, dtype)
    encoder = encoder_for(space)
    assert encoder.feature_size == size
    image = torch.from_numpy(space.sample())[None]
    assert encoder(image).shape == (1, size)
