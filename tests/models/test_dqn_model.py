import copy
import itertools
import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from rlpyt.data import NoState
from rlpyt.envs.spaces import example_of
from rlpyt.models.convolutions import Convolutions
from rlpyt.models.dqn import DqnModel
from rlpyt.models.dueling import Dueling
from rlpyt.models.encoder import encoder_for
from rlpyt.models.noisy import NoisyLinear
from rlpyt.models.quantile import CosineEmbedding
from rlpyt.ops.quantile import quantile_midpoints
from rlpyt.utils.buffer import buffer_from_example, buffer_map
from rlpyt.utils.errors import RlpytError

VECTOR = spaces.Box(-5, 5, (4,), np.float32)
IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
ATARI = spaces.Box(0, 255, (4, 84, 84), np.uint8)
FUSED = spaces.Dict({"action_mask": spaces.MultiBinary(3), "image": IMAGE, "vector": VECTOR})
ACTION = spaces.Discrete(3)
OBSERVATIONS = {"vector": VECTOR, "image": IMAGE, "fused": FUSED, "discrete": spaces.Discrete(5)}
HEADS = ("q", "categorical", "quantile", "implicit")
KINDS = ("none", "lstm", "gru")


def random_tree(space, leading):
    zeros = buffer_from_example(example_of(space), leading)

    def fill(leaf):
        if leaf.dtype == torch.uint8:
            return torch.randint(0, 256, leaf.shape, dtype=torch.uint8)
        return torch.randint(0, 3, leaf.shape).to(leaf.dtype)

    return buffer_map(fill, zeros)


def random_inputs(observation, leading):
    return (
        random_tree(observation, leading),
        torch.randint(0, 3, leading),
        torch.randn(leading),
        torch.rand(leading) < 0.3,
    )


def build(observation=VECTOR, *, seed=None, **options):
    sizes = {"n_atoms": 7, "n_quantiles": 5, "rnn_size": 8, "n_cosines": 6, "hidden_sizes": (16, 8)}
    model = DqnModel.from_spaces(observation, ACTION, **{**sizes, **options})
    if seed is not None:
        model.resample(np.random.default_rng(seed))
    return model


def call(model, *inputs, fractions=None):
    leading = inputs[3].shape
    return model(*inputs, model.initial_state(leading[-1]), fractions)


def test_every_combination_has_the_right_shape_and_learns_in_every_parameter():
    combinations = itertools.product(OBSERVATIONS, HEADS, (False, True), (False, True), KINDS)
    for observation, head, dueling, noisy, recurrent in combinations:
        name = f"{observation} {head} {dueling=} {noisy=} {recurrent}"
        space = OBSERVATIONS[observation]
        options = {"head": head, "dueling": dueling, "noisy": noisy, "recurrent": recurrent}
        model = build(space, seed=0, **options)
        assert model.is_noisy == noisy, name
        shape = {"q": (3,), "categorical": (3, 7)}.get(head, (3, 5))
        for leading in ((2,), (6, 2)):
            inputs = random_inputs(space, leading)
            outputs, state = call(model, *inputs)
            assert outputs.values.shape == (*leading, *shape), name
            assert type(state) is type(model.initial_state(2)), name
            if head == "implicit":
                assert torch.equal(outputs.fractions, quantile_midpoints(5).expand(*leading, 5))
            else:
                assert outputs.fractions is None, name
            values = model.action_values(outputs, torch.linspace(-1, 1, 7))
            assert values.shape == (*leading, 3), name
        before = {key: p.detach().clone() for key, p in model.named_parameters()}
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        outputs.values.square().sum().backward()
        optimizer.step()
        still = [key for key, p in model.named_parameters() if torch.equal(p, before[key])]
        assert still == [], name


# --- networks --------------------------------------------------------------------------------


def n_parameters(model):
    return sum(p.numel() for p in model.parameters())


CONVS = (4 * 64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 9 + 1) * 64
HIDDEN = (3136 + 1) * 512


def test_nature_network_has_the_published_layers():
    action = spaces.Discrete(6)
    plain = DqnModel.from_spaces(ATARI, action)
    assert n_parameters(plain) == CONVS + HIDDEN + 513 * 6 == 1_687_206
    dueling = DqnModel.from_spaces(ATARI, action, dueling=True)
    assert n_parameters(dueling) == CONVS + 2 * HIDDEN + 513 * 6 + 513
    noisy = DqnModel.from_spaces(ATARI, action, noisy=True)
    assert n_parameters(noisy) == CONVS + 2 * (HIDDEN + 513 * 6)
    rainbow = DqnModel.from_spaces(ATARI, action, dueling=True, noisy=True, head="categorical")
    assert n_parameters(rainbow) == CONVS + 2 * (2 * HIDDEN + 513 * 51 * 7)
    quantile = DqnModel.from_spaces(ATARI, action, head="quantile")
    assert n_parameters(quantile) == CONVS + HIDDEN + 513 * 6 * 200
    implicit = DqnModel.from_spaces(ATARI, action, head="implicit")
    assert n_parameters(implicit) == n_parameters(plain) + 65 * 3136
    r2d2 = DqnModel.from_spaces(ATARI, action, dueling=True, recurrent="lstm")
    lstm = 4 * 512 * (512 + 6 + 1 + 512 + 2)
    head = 2 * 513 * 512 + 513 * 7
    assert n_parameters(r2d2) == CONVS + HIDDEN + lstm + head


def test_nature_network_computes_what_torch_layers_do():
    model = DqnModel.from_spaces(ATARI, ACTION)
    reference = nn.Sequential(
        nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
        nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(),
        nn.Linear(512, 3),
    )  # fmt: skip
    state = list(model.state_dict().values())
    # features here are height, width, channel; there channel first
    state[6] = state[6].unflatten(1, (7, 7, 64)).permute(0, 3, 1, 2).flatten(1)
    reference.load_state_dict(dict(zip(reference.state_dict(), state, strict=True)))
    image = torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8)
    outputs, _state = model(image, None, None, None, NoState())
    torch.testing.assert_close(outputs.values, reference(image / 255.0), rtol=1e-4, atol=1e-6)


def test_convolutions_keep_channels_last_weights_and_any_layout_of_the_image():
    model = DqnModel.from_spaces(ATARI, ACTION)
    convs = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert all(c.weight.is_contiguous(memory_format=torch.channels_last) for c in convs)
    last = spaces.Box(0, 255, (84, 84, 4), np.uint8)
    twin = DqnModel.from_spaces(last, ACTION)
    twin.load_state_dict(model.state_dict())
    image = torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8)
    expected, _state = model(image, None, None, None, NoState())
    found, _state = twin(image.permute(0, 2, 3, 1), None, None, None, NoState())
    torch.testing.assert_close(found.values, expected.values)


@pytest.mark.parametrize("image", ["nature", "impala"])
def test_convolutions_are_those_of_the_whole_trunk(image):
    trunk = encoder_for(IMAGE, image=image).networks[0]
    convolutions = Convolutions(trunk)
    x = random_tree(IMAGE, (5, 2))
    features = convolutions(x)
    assert features.shape == (5, 2, convolutions.feature_size)
    torch.testing.assert_close(torch.relu(trunk.linear(features)), trunk(x))


def test_weights_start_as_torch_does_or_orthogonally():
    model = DqnModel.from_spaces(ATARI, ACTION, recurrent="lstm", rnn_size=32, dueling=True)
    for name, parameter in model.named_parameters():
        module = model.get_submodule(name.rpartition(".")[0])
        if isinstance(module, nn.LSTM):
            bound = 1 / math.sqrt(32)
        else:
            bound = 1 / math.sqrt(module.weight[0].numel())
        assert parameter.abs().max() <= bound, name
        assert parameter.numel() < 30 or parameter.abs().max() > 0.9 * bound, name
        assert parameter.any(), name
    model = DqnModel.from_spaces(ATARI, ACTION, init="orthogonal", head="implicit", noisy=True)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | NoisyLinear):
            matrix = module.weight.detach().flatten(1)
            matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
            gain = 1.0 if module is model.head.output else 2.0
            expected = gain * torch.eye(len(matrix))
            torch.testing.assert_close(matrix @ matrix.T, expected, rtol=0, atol=1e-4)
            assert not module.bias.any()


def test_hidden_sizes_default_by_observation():
    def sizes(space, **options):
        model = DqnModel.from_spaces(space, ACTION, **options)
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        return [module.out_features for module in linear]

    assert sizes(VECTOR) == [128, 128, 3]
    assert sizes(FUSED) == [512, 3]
    assert sizes(IMAGE, image="flatten") == [128, 128, 3]
    assert sizes(IMAGE, image="impala") == [512, 3]
    assert sizes(VECTOR, hidden_sizes=()) == [3]
    assert sizes(VECTOR, hidden_sizes=(9, 7), recurrent="gru", rnn_size=5) == [9, 7, 7, 3]
    assert sorted(sizes(VECTOR, hidden_sizes=(9, 7), dueling=True)) == [1, 3, 7, 7, 9]


# --- heads -----------------------------------------------------------------------------------


def record(outputs, _module, _inputs, output):
    outputs.append(output)


def test_dueling_centres_advantages_and_adds_the_value():
    for head in HEADS:
        model = build(dueling=True, head=head)
        assert isinstance(model.head, Dueling)
        inputs = random_inputs(VECTOR, (6,))
        raw = []
        for stream in (model.head.value, model.head.advantage):
            stream.register_forward_hook(partial(record, raw))
        values = call(model, *inputs)[0].values
        value, advantage = raw
        if head == "implicit":
            value, advantage = value.transpose(-1, -2), advantage.transpose(-1, -2)
            expected = value + advantage - advantage.mean(-2, keepdim=True)
        else:
            n = value.shape[-1]
            advantage = advantage.reshape(6, 3, n)
            expected = torch.stack(
                [value + advantage[:, a] - advantage.sum(1) / 3 for a in range(3)], dim=1
            )
        if head == "q":
            expected = expected.squeeze(-1)
            torch.testing.assert_close(values.mean(-1), value.squeeze(-1))
        if head == "categorical":
            expected = expected.log_softmax(-1)
        torch.testing.assert_close(values, expected)


def test_dueling_does_not_see_what_all_advantages_share():
    model = build(dueling=True)
    inputs = random_inputs(VECTOR, (6,))
    before = call(model, *inputs)[0].values
    with torch.no_grad():
        model.head.advantage.output.bias += 3.0
    torch.testing.assert_close(call(model, *inputs)[0].values, before)


def test_each_head_lays_out_its_numbers_by_action():
    for head, n in (("categorical", 7), ("quantile", 5)):
        model = build(head=head)
        with torch.no_grad():
            model.head.output.weight.zero_()
            model.head.output.bias.copy_(torch.arange(3.0 * n))
        values = call(model, *random_inputs(VECTOR, (2,)))[0].values
        expected = torch.arange(3.0 * n).reshape(3, n).expand(2, 3, n)
        if head == "categorical":
            expected = expected.log_softmax(-1)
        torch.testing.assert_close(values, expected)


def test_action_values_are_the_means():
    inputs = random_inputs(VECTOR, (6,))
    outputs, _state = call(build(), *inputs)
    assert build().action_values(outputs) is outputs.values
    for head in ("quantile", "implicit"):
        model = build(head=head)
        outputs, _state = call(model, *inputs)
        expected = outputs.values.sum(-1) / 5
        torch.testing.assert_close(model.action_values(outputs), expected)
    model = build(head="categorical")
    outputs, _state = call(model, *inputs)
    probabilities = outputs.values.exp()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(6, 3))
    support = torch.linspace(-10, 10, 7)
    expected = sum(probabilities[..., i] * support[i] for i in range(7))
    torch.testing.assert_close(model.action_values(outputs, support), expected)
    with pytest.raises(RlpytError, match="support"):
        model.action_values(outputs)


def test_fractions_enter_by_their_cosines():
    embedding = CosineEmbedding(4, 6)
    features, fractions = torch.randn(2, 4), torch.rand(2, 3)
    found = embedding(features, fractions)
    for b, n, j in itertools.product(range(2), range(3), range(4)):
        total = embedding.linear.bias[j].item()
        for i in range(6):
            cosine = math.cos(math.pi * i * fractions[b, n].item())
            total += cosine * embedding.linear.weight[j, i].item()
        assert found[b, n, j].item() == pytest.approx(
            features[b, j].item() * max(total, 0.0), abs=1e-5
        )


def test_implicit_quantiles_belong_to_their_fractions():
    model = build(head="implicit", dueling=True)
    inputs = random_inputs(VECTOR, (6,))
    fractions = torch.rand(6, 9)
    outputs, _state = call(model, *inputs, fractions=fractions)
    assert outputs.values.shape == (6, 3, 9)
    assert torch.equal(outputs.fractions, fractions)
    for n in range(9):
        alone, _state = call(model, *inputs, fractions=fractions[:, n : n + 1])
        torch.testing.assert_close(alone.values[..., 0], outputs.values[..., n])
    assert outputs.values.std(-1).min() > 0
    shared, _state = call(model, *inputs, fractions=fractions[0])
    each, _state = call(model, *inputs, fractions=fractions[0].expand(6, 9))
    torch.testing.assert_close(shared.values, each.values)
    assert torch.equal(shared.fractions, each.fractions)
    torch.testing.assert_close(quantile_midpoints(5), torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]))
    default, _state = call(model, *inputs)
    middle, _state = call(model, *inputs, fractions=torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]))
    torch.testing.assert_close(default.values, middle.values)


# --- noise -----------------------------------------------------------------------------------


def test_noise_is_drawn_for_the_whole_model_and_repeats_with_its_generator():
    model, twin = build(noisy=True, dueling=True), build(noisy=True, dueling=True)
    twin.load_state_dict(model.state_dict())
    inputs = random_inputs(VECTOR, (6,))
    mean = call(model, *inputs)[0].values
    assert torch.equal(call(twin, *inputs)[0].values, mean)
    model.resample(np.random.default_rng(1))
    twin.resample(np.random.default_rng(1))
    noisy = call(model, *inputs)[0].values
    assert not torch.allclose(noisy, mean, atol=1e-3)
    assert torch.equal(call(twin, *inputs)[0].values, noisy)
    twin.resample(np.random.default_rng(2))
    assert not torch.allclose(call(twin, *inputs)[0].values, noisy, atol=1e-3)
    layers = [module for module in model.modules() if isinstance(module, NoisyLinear)]
    assert len(layers) == 4  # hidden and output, of two streams
    assert all(layer.noise_in.all() and layer.noise_out.all() for layer in layers)
    again = call(model, *inputs)[0].values
    with model.without_noise():
        assert torch.equal(call(model, *inputs)[0].values, mean)
    assert torch.equal(call(model, *inputs)[0].values, again)


def test_recurrent_state_does_not_depend_on_the_noise():
    model = build(noisy=True, dueling=True, recurrent="lstm")
    inputs = random_inputs(VECTOR, (6, 2))
    quiet, quiet_state = call(model, *inputs)
    model.resample(np.random.default_rng(1))
    loud, loud_state = call(model, *inputs)
    assert not torch.allclose(loud.values, quiet.values, atol=1e-3)
    assert torch.equal(loud_state.hidden, quiet_state.hidden)
    assert torch.equal(loud_state.cell, quiet_state.cell)


# --- time and state --------------------------------------------------------------------------


def test_feed_forward_ignores_the_past_and_takes_any_leading_dimensions():
    for head in HEADS:
        model = build(head=head, dueling=True)
        assert not model.reads_previous
        observation = torch.randn(2, 3, 4, 4)
        outputs, state = model(observation, None, None, None, NoState())
        assert state == NoState()
        flat, _state = model(observation.reshape(-1, 4), None, None, None, NoState())
        torch.testing.assert_close(outputs.values.flatten(0, 2), flat.values)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("head", ["q", "implicit"])
def test_recurrent_sequence_equals_stepping(kind, head):
    model = build(FUSED, recurrent=kind, dueling=True, head=head, noisy=True, seed=0)
    assert model.reads_previous
    inputs = random_inputs(FUSED, (10, 2))
    outputs, last = call(model, *inputs)
    state = model.initial_state(2)
    for t in range(10):
        step, state = model(*(part[t] for part in inputs), state)
        torch.testing.assert_close(step.values, outputs.values[t], rtol=0, atol=1e-6)
    torch.testing.assert_close(state.hidden, last.hidden, rtol=0, atol=1e-6)


def test_recurrent_past_counts_as_zero_at_a_reset():
    model = build(recurrent="lstm")
    observation = torch.randn(2, 4)
    reset = torch.tensor([True, False])
    state = model.initial_state(2)

    def values(prev_action, prev_reward, hidden):
        poisoned = state._replace(hidden=state.hidden + hidden.view(2, 1, 1))
        return model(observation, prev_action, prev_reward, reset, poisoned)[0].values

    zero = torch.zeros(2)
    base = values(torch.tensor([0, 0]), zero, zero)
    nan = torch.tensor([float("nan"), 0.0])
    poisoned = values(torch.tensor([-42, 1]), nan, nan)
    assert torch.equal(poisoned[0], base[0])
    assert not torch.equal(poisoned[1], base[1])  # the previous action
    assert not torch.equal(values(torch.tensor([0, 0]), zero + 1, zero)[1], base[1])
    assert not torch.equal(values(torch.tensor([0, 0]), zero, zero + 1)[1], base[1])


# --- the model as a module -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observation", "options"),
    [
        (VECTOR, {}),
        (FUSED, {"normalize_observation": True, "noisy": True, "head": "categorical"}),
        (IMAGE, {"dueling": True, "noisy": True, "head": "implicit"}),
        (VECTOR, {"recurrent": "lstm", "dueling": True}),
    ],
)
def test_a_target_copy_equals_the_online_network(observation, options):
    model = build(observation, seed=0, **options)
    inputs = random_inputs(observation, (4, 2))
    model.update_normalizer(inputs[0])
    expected = call(model, *inputs)[0].values
    loaded = build(observation, **options)
    loaded.load_state_dict(model.state_dict())
    for target in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(call(target, *inputs)[0].values, expected)
    target = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    assert torch.equal(call(target, *inputs)[0].values, expected)
    assert not torch.equal(call(model, *inputs)[0].values, expected)


def test_normalizer_is_part_of_the_model():
    model, plain = build(normalize_observation=True), build()
    plain.load_state_dict(model.state_dict(), strict=False)
    observation = torch.randn(6, 3, 4) * 3 + 2
    model.update_normalizer(observation)
    plain.update_normalizer(observation)
    flat = observation.reshape(-1, 4)
    white = (flat - flat.mean(0)) / flat.std(0, correction=0)
    outputs, _state = model(flat, None, None, None, NoState())
    expected, _state = plain(white, None, None, None, NoState())
    torch.testing.assert_close(outputs.values, expected.values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_double_precision(head):
    model = build(IMAGE, head=head, noisy=True, dueling=True, seed=0)
    inputs = random_inputs(IMAGE, (3,))
    expected = call(model, *inputs)[0].values
    model.double().resample(np.random.default_rng(0))
    found = call(model, *inputs)[0].values
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.float(), expected, rtol=1e-4, atol=1e-5)


def test_an_action_mask_is_not_looked_at():
    model = build(FUSED)
    inputs = random_inputs(FUSED, (4,))
    expected = call(model, *inputs)[0].values
    masked = inputs[0]._replace(action_mask=1 - inputs[0].action_mask)
    assert torch.equal(call(model, masked, *inputs[1:])[0].values, expected)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("observation", ["vector", "fused"])
def test_compiles_to_one_graph(observation, head):
    torch.compiler.reset()
    space = OBSERVATIONS[observation]
    model = build(space, head=head, dueling=True, noisy=True, seed=0)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    inputs = random_inputs(space, (3,))
    found, _state = compiled(*inputs, NoState())
    expected, _state = model(*inputs, NoState())
    torch.testing.assert_close(found.values, expected.values)
    gradients = []
    for outputs in (found, expected):
        model.zero_grad()
        outputs.values.square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    torch.testing.assert_close(*gradients)
    model.resample(np.random.default_rng(1))  # new noise, the same graph
    found, _state = compiled(*inputs, NoState())
    expected, _state = model(*inputs, NoState())
    torch.testing.assert_close(found.values, expected.values)


def test_functional_call_uses_the_given_parameters():
    model, other = build(IMAGE, dueling=True), build(IMAGE, dueling=True)
    inputs = (*random_inputs(IMAGE, (2,)), NoState())
    found, _state = torch.func.functional_call(model, dict(other.named_parameters()), inputs)
    assert torch.equal(found.values, other(*inputs)[0].values)


@pytest.mark.parametrize(
    ("action", "options", "message"),
    [
        (spaces.Box(-1, 1, (2,)), {}, r"Box.*Discrete"),
        (spaces.MultiDiscrete([2, 2]), {}, "MultiDiscrete"),
        (ACTION, {"head": "quantil"}, "did you mean 'quantile'"),
        (ACTION, {"recurrent": "lstmm"}, "did you mean 'lstm'"),
        (ACTION, {"init": "orthogonl"}, "did you mean 'orthogonal'"),
        (ACTION, {"image": "natur"}, "did you mean 'nature'"),
        (ACTION, {"nonlinearity": "rel"}, "did you mean 'relu'"),
        (ACTION, {"n_atoms": 0}, "1 or more"),
        (ACTION, {"hidden_sizes": (4, 0)}, "1 or more"),
    ],
)
def test_errors(action, options, message):
    with pytest.raises(RlpytError, match=message):
        DqnModel.from_spaces(VECTOR, action, **options)
