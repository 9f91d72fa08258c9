"""The policy network: parameters of the right size for every kind, from any observation."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from rlpyt.data import NoState
from rlpyt.envs.spaces import example_of
from rlpyt.models.policy import PolicyModel
from rlpyt.utils.buffer import buffer_from_example, buffer_map
from rlpyt.utils.errors import RlpytError

VECTOR = spaces.Box(-np.inf, np.inf, (4,), np.float32)
IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
FUSED = spaces.Dict(action_mask=spaces.MultiBinary(3), image=IMAGE, vector=VECTOR)
OBSERVATIONS = {"vector": VECTOR, "image": IMAGE, "fused": FUSED, "discrete": spaces.Discrete(5)}
BOX, DISCRETE = spaces.Box(-1, 1, (3, 2), np.float32), spaces.Discrete(3)
KINDS = {"deterministic": (BOX, 6), "gaussian": (BOX, 12), "categorical": (DISCRETE, 3)}


def random_tree(space, leading):
    def fill(leaf):
        if leaf.dtype == torch.uint8:
            return torch.randint(0, 256, leaf.shape, dtype=torch.uint8)
        if leaf.dtype == torch.float32:
            return torch.randn(leaf.shape)
        return torch.randint(0, 3, leaf.shape).to(leaf.dtype)

    tree = buffer_map(fill, buffer_from_example(example_of(space), leading or (1,)))
    return tree if leading else buffer_map(lambda leaf: leaf[0], tree)


def call(model, observation, **options):
    return model(observation, None, None, None, NoState(), **options)


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"batch_renorm": True}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_shapes_and_gradients_of_every_parameter(observation, kind, options):
    space, (action_space, size) = OBSERVATIONS[observation], KINDS[kind]
    model = PolicyModel.from_spaces(space, action_space, kind, hidden_sizes=(9,), **options)
    for leading in ((), (5,), (4, 5)):
        params, state = call(model, random_tree(space, leading), train=leading == (4, 5))
        assert params.shape == (*leading, size)
        assert state == NoState()
    assert model.initial_state(5) == NoState()
    assert not model.reads_previous
    (params * torch.randn(size)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.any(), name


def test_it_is_torch_s_network_with_torch_s_start():
    torch.manual_seed(3)
    model = PolicyModel.from_spaces(VECTOR, BOX, "gaussian", hidden_sizes=(8, 7))
    torch.manual_seed(3)
    twin = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 12)
    )  # fmt: skip
    for own, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(own, other)
    x = torch.randn(6, 4)
    torch.testing.assert_close(call(model, x)[0], twin(x))


def test_hidden_sizes_default_to_two_of_256():
    model = PolicyModel.from_spaces(VECTOR, BOX, "deterministic")
    assert [layer.out_features for layer in model.modules() if isinstance(layer, nn.Linear)] == [
        256, 256, 6,
    ]  # fmt: skip


def test_observations_are_normalised():
    model = PolicyModel.from_spaces(VECTOR, BOX, "gaussian", normalize_observation=True)
    plain = PolicyModel.from_spaces(VECTOR, BOX, "gaussian")
    x = 5 + 3 * torch.randn(20, 10, 4)
    model.update_normalizer(x, None)
    plain.update_normalizer(x, None)  # does nothing, and may be called
    plain.head.load_state_dict(model.head.state_dict())
    flat = x.flatten(0, 1)
    white = (flat - flat.mean(0)) / flat.std(0, correction=0)
    torch.testing.assert_close(call(model, flat)[0], call(plain, white)[0], rtol=1e-4, atol=1e-4)


def test_batch_statistics_are_taken_in_where_asked():
    model = PolicyModel.from_spaces(VECTOR, BOX, "gaussian", batch_renorm=True)
    x = 5 + 3 * torch.randn(50, 4)
    before = call(model, x)[0]
    assert torch.equal(call(model.train(), x)[0], before)
    assert not torch.allclose(call(model, x, train=True)[0], before)
    assert not torch.equal(call(model, x)[0], before)


@pytest.mark.parametrize(
    ("action_space", "kind", "options", "message"),
    [
        (BOX, "gausian", {}, "policy='gausian'.*did you mean 'gaussian'"),
        (BOX, "categorical", {}, "over Discrete actions.*use policy='gaussian'"),
        (DISCRETE, "gaussian", {}, "over a Box of actions.*use policy='categorical'"),
        (DISCRETE, "deterministic", {}, "use policy='categorical'"),
        (spaces.MultiBinary(3), "gaussian", {}, "is no Box of real numbers"),
        (BOX, "gaussian", {"hidden_sizes": (8, 0)}, "use 1 or more"),
        (BOX, "gaussian", {"nonlinearity": "rely"}, "did you mean 'relu'"),
        (BOX, "gaussian", {"layer_norm": True, "batch_renorm": True}, "choose one of them"),
    ],
)
def test_what_is_wrong_is_named(action_space, kind, options, message):
    with pytest.raises(RlpytError, match=message):
        PolicyModel.from_spaces(VECTOR, action_space, kind, **options)
