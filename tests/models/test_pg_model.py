import copy
import pickle

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlpyt.data import NoState
from rlpyt.distributions.factory import distribution_for
from rlpyt.envs.spaces import example_of
from rlpyt.models.pg import PgModel
from rlpyt.utils.buffer import buffer_from_example, buffer_map
from rlpyt.utils.errors import RlpytError

VECTOR = spaces.Box(-5, 5, (4,), np.float32)
IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
FUSED = spaces.Dict({"action_mask": spaces.MultiBinary(2), "image": IMAGE, "vector": VECTOR})
DISCRETE = spaces.Discrete(2)
BOX = spaces.Box(-1, 1, (3,), np.float32)
MIXED = spaces.Dict(
    {
        "a": spaces.Box(-1, 1, (2,), np.float32),
        "b": spaces.Discrete(3),
        "c": spaces.Tuple((spaces.Box(-1, 1, (1, 2), np.float32), spaces.MultiDiscrete([2, 2]))),
        "d": spaces.MultiBinary(2),
    }
)
OBSERVATIONS = {"vector": VECTOR, "image": IMAGE, "fused": FUSED, "discrete": spaces.Discrete(5)}
ACTIONS = {"discrete": DISCRETE, "box": BOX, "mixed": MIXED}


def random_tree(space, leading):
    """Small random integers in every leaf: valid everywhere."""
    zeros = buffer_from_example(example_of(space), leading)
    return buffer_map(lambda leaf: torch.randint(0, 2, leaf.shape).to(leaf.dtype), zeros)


def random_inputs(observation, action, leading):
    return (
        random_tree(observation, leading),
        random_tree(action, leading),
        torch.randn(leading),
        torch.rand(leading) < 0.3,
    )


@pytest.mark.parametrize("recurrent", ["none", "lstm"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_shapes_and_gradients(observation, action, recurrent):
    observation, action = OBSERVATIONS[observation], ACTIONS[action]
    model = PgModel.from_spaces(observation, action, recurrent=recurrent, rnn_size=8)
    size = distribution_for(action).param_size
    for leading in ((3,), (5, 3)):
        inputs = random_inputs(observation, action, leading)
        outputs, state = model(*inputs, model.initial_state(3))
        assert outputs.params.shape == (*leading, size)
        assert outputs.value.shape == leading
        assert type(state) is type(model.initial_state(3))
        value = model.value(*inputs, model.initial_state(3))
        torch.testing.assert_close(value, outputs.value, rtol=0, atol=1e-6)
    (outputs.params.square().sum() + outputs.value.square().sum()).backward()
    without = [
        name
        for name, p in model.named_parameters()
        if p.grad is None or not (name.endswith("log_std") or p.grad.any())
    ]
    assert without == []


def test_policy_and_value_are_apart_for_vectors_and_together_for_images():
    def shares(observation, **options):
        model = PgModel.from_spaces(observation, DISCRETE, **options)
        inputs = random_inputs(observation, DISCRETE, (3,))
        outputs, _state = model(*inputs, model.initial_state(3))
        outputs.value.sum().backward()
        with_gradient = [p for p in model.parameters() if p.grad is not None]
        model.zero_grad()
        outputs, _state = model(*inputs, model.initial_state(3))
        outputs.params.sum().backward()
        return any(p.grad is not None for p in with_gradient)

    assert not shares(VECTOR)
    assert shares(VECTOR, shared_trunk=True)
    assert shares(IMAGE)
    assert not shares(IMAGE, shared_trunk=False)
    assert shares(VECTOR, recurrent="gru")
    assert not shares(IMAGE, image="flatten")


def test_first_policy_is_near_uniform_and_log_std_is_as_given():
    model = PgModel.from_spaces(VECTOR, BOX, init_log_std=-0.5)
    outputs, _state = model(*random_inputs(VECTOR, BOX, (9,)), NoState())
    assert outputs.params[:, :3].abs().max() < 0.1
    assert torch.equal(outputs.params[:, 3:], torch.full((9, 3), -0.5))
    outputs.params[:, 3:].sum().backward()
    assert torch.equal(model.policy.log_std.grad, torch.full((3,), 9.0))


def test_log_stds_of_a_mixed_action_are_where_its_distribution_reads_them():
    model = PgModel.from_spaces(VECTOR, MIXED)
    with torch.no_grad():
        model.policy.log_std.copy_(torch.tensor([-1.0, -2.0, -3.0, -4.0]))
    inputs = random_inputs(VECTOR, MIXED, (5,))
    outputs, _state = model(*inputs, NoState())
    info = distribution_for(MIXED).dist_info(outputs.params)
    assert info.a.log_std[0].tolist() == [-1.0, -2.0]
    assert info.c.item_0.log_std[0].tolist() == [-3.0, -4.0]
    head = model.policy.network(inputs[0])
    torch.testing.assert_close(info.a.mean, head[:, :2])
    torch.testing.assert_close(info.c.item_0.mean, head[:, 5:7])
    assert model.policy.network.output_size == 2 + 3 + 2 + 4 + 2


def test_feed_forward_ignores_the_past_and_takes_any_leading_dimensions():
    model = PgModel.from_spaces(VECTOR, DISCRETE)
    observation = torch.randn(2, 3, 4, 4)
    outputs, state = model(observation, None, None, None, NoState())
    assert state == NoState()
    flat, _state = model(observation.reshape(-1, 4), None, None, None, NoState())
    torch.testing.assert_close(outputs.params.reshape(-1, 2), flat.params)
    torch.testing.assert_close(outputs.value.reshape(-1), flat.value)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("action", ACTIONS)
def test_recurrent_sequence_equals_stepping(kind, action):
    action = ACTIONS[action]
    model = PgModel.from_spaces(VECTOR, action, recurrent=kind, rnn_size=8)
    inputs = random_inputs(VECTOR, action, (10, 3))
    outputs, last = model(*inputs, model.initial_state(3))
    state = model.initial_state(3)
    for t in range(10):
        step, state = model(*buffer_step(inputs, t), state)
        torch.testing.assert_close(step.params, outputs.params[t], rtol=0, atol=1e-6)
        torch.testing.assert_close(step.value, outputs.value[t], rtol=0, atol=1e-6)
    torch.testing.assert_close(state.hidden, last.hidden, rtol=0, atol=1e-6)


def buffer_step(inputs, t):
    return [part[t] for part in inputs]


def test_recurrent_sees_previous_action_and_reward_except_at_a_reset():
    model = PgModel.from_spaces(VECTOR, DISCRETE, recurrent="lstm", rnn_size=8)
    observation, state = torch.randn(2, 4), model.initial_state(2)
    reset = torch.tensor([True, False])
    zero = torch.zeros(2)

    def value(prev_action, prev_reward):
        return model.value(observation, prev_action, prev_reward, reset, state)

    base = value(torch.tensor([0, 0]), zero)
    poisoned = value(torch.tensor([-42, 1]), torch.tensor([float("nan"), 0.0]))
    assert poisoned[0] == base[0]
    assert poisoned[1] != base[1]
    assert value(torch.tensor([0, 0]), zero + 1)[1] != base[1]


def test_normalizer_is_part_of_the_model_and_its_state():
    model = PgModel.from_spaces(VECTOR, DISCRETE, normalize_observation=True)
    plain = PgModel.from_spaces(VECTOR, DISCRETE)
    plain.load_state_dict(model.state_dict(), strict=False)
    observation = torch.randn(6, 3, 4) * 3 + 2
    model.update_normalizer(observation)
    plain.update_normalizer(observation)
    flat = observation.reshape(-1, 4)
    white = (flat - flat.mean(0)) / flat.std(0, correction=0)
    outputs, _state = model(flat, None, None, None, NoState())
    expected, _state = plain(white, None, None, None, NoState())
    torch.testing.assert_close(outputs.params, expected.params, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(outputs.value, expected.value, rtol=1e-4, atol=1e-5)
    assert "normalizer.statistics.0.mean" in model.state_dict()


@pytest.mark.parametrize(
    ("observation", "action", "options"),
    [
        (VECTOR, BOX, {}),
        (FUSED, MIXED, {"normalize_observation": True, "hidden_sizes": (16,)}),
        (VECTOR, DISCRETE, {"recurrent": "lstm", "rnn_size": 8}),
    ],
)
def test_pickle_deepcopy_and_state_dict_keep_the_function(observation, action, options):
    model = PgModel.from_spaces(observation, action, **options)
    inputs = random_inputs(observation, action, (4, 3))
    model.update_normalizer(inputs[0])
    outputs, _state = model(*inputs, model.initial_state(3))
    loaded = PgModel.from_spaces(observation, action, **options)
    loaded.load_state_dict(model.state_dict())
    for twin in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        found, _state = twin(*inputs, twin.initial_state(3))
        assert torch.equal(found.params, outputs.params)
        assert torch.equal(found.value, outputs.value)


@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("action", ACTIONS)
def test_compiles_to_one_graph(observation, action):
    torch.compiler.reset()
    observation, action = OBSERVATIONS[observation], ACTIONS[action]
    model = PgModel.from_spaces(observation, action)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    inputs = random_inputs(observation, action, (3,))
    found, _state = compiled(*inputs, NoState())
    expected, _state = model(*inputs, NoState())
    torch.testing.assert_close(found.params, expected.params)
    torch.testing.assert_close(found.value, expected.value)


def test_functional_call_uses_the_given_parameters():
    model = PgModel.from_spaces(IMAGE, BOX)
    other = PgModel.from_spaces(IMAGE, BOX)
    inputs = (*random_inputs(IMAGE, BOX, (2,)), NoState())
    found, _state = torch.func.functional_call(model, dict(other.named_parameters()), inputs)
    expected, _state = other(*inputs)
    assert torch.equal(found.params, expected.params)
    assert torch.equal(found.value, expected.value)


def test_hidden_sizes_default_by_observation():
    assert len(PgModel.from_spaces(VECTOR, DISCRETE).policy.hidden) == 2
    image = PgModel.from_spaces(IMAGE, DISCRETE)
    assert image.encoder.body is None
    assert len(image.policy.hidden) == 0
    assert PgModel.from_spaces(FUSED, DISCRETE).encoder.feature_size == 64
    assert PgModel.from_spaces(IMAGE, DISCRETE, hidden_sizes=(32,)).encoder.feature_size == 32


def test_errors():
    with pytest.raises(RlpytError, match="did you mean 'lstm'"):
        PgModel.from_spaces(VECTOR, DISCRETE, recurrent="lstmm")
    with pytest.raises(RlpytError, match="share the memory"):
        PgModel.from_spaces(VECTOR, DISCRETE, recurrent="gru", shared_trunk=False)
