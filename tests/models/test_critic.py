"""Critics: any observation and action space, bounds as units, every parameter learns."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from rlpyt.data import AgentInputs, NoState
from rlpyt.envs.spaces import example_of
from rlpyt.models.critic import CriticModel
from rlpyt.utils.buffer import buffer_from_example, buffer_map
from rlpyt.utils.errors import RlpytError

VECTOR = spaces.Box(-np.inf, np.inf, (4,), np.float32)
IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
OBSERVATIONS = {
    "vector": VECTOR,
    "scalar": spaces.Box(-1, 1, (), np.float32),
    "image": IMAGE,
    "fused": spaces.Dict(action_mask=spaces.MultiBinary(3), image=IMAGE, vector=VECTOR),
    "discrete": spaces.Discrete(5),
}
ACTIONS = {
    "box": spaces.Box(np.array([-2, 0], np.float32), np.array([1, 0.5], np.float32)),
    "matrix": spaces.Box(-1, 1, (2, 2), np.float32),
    "discrete": spaces.Discrete(3),
}


def random_tree(space, leading):
    def fill(leaf):
        if leaf.dtype == torch.uint8:
            return torch.randint(0, 256, leaf.shape, dtype=torch.uint8)
        if leaf.dtype == torch.float32:
            return torch.rand(leaf.shape)
        return torch.randint(0, 3, leaf.shape).to(leaf.dtype)

    tree = buffer_map(fill, buffer_from_example(example_of(space), leading or (1,)))
    return tree if leading else buffer_map(lambda leaf: leaf[0], tree)


def ask(critic, observation, action=None, **how):
    """Q where nothing of the past is looked at."""
    return critic(observation, None, None, None, NoState(), action, **how)


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"batch_renorm": True}], ids=str)
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_shapes_and_gradients_of_every_parameter(observation, action, options):
    observation_space, action_space = OBSERVATIONS[observation], ACTIONS[action]
    discrete = action == "discrete"
    n_outputs = 1 if discrete else 2
    critic = CriticModel.from_spaces(
        observation_space,
        action_space,
        n_critics=3,
        n_outputs=n_outputs,
        hidden_sizes=(9,),
        **options,
    )
    for leading in ((), (5,), (4, 5)):
        given = random_tree(observation_space, leading)
        taken = None if discrete else random_tree(action_space, leading)
        if not discrete:
            taken.requires_grad_()
        q = ask(critic, given, taken, train=leading == (4, 5))
        assert q.shape == (3, *leading, 3 if discrete else n_outputs)
    q.square().sum().backward()
    for name, parameter in critic.named_parameters():
        assert parameter.grad.any(), name
    assert discrete or taken.grad.any()


def test_a_batch_is_its_entries():
    critic = CriticModel.from_spaces(OBSERVATIONS["fused"], ACTIONS["matrix"])
    given, taken = (
        random_tree(OBSERVATIONS["fused"], (4, 5)),
        random_tree(ACTIONS["matrix"], (4, 5)),
    )
    whole = ask(critic, given, taken)
    torch.testing.assert_close(whole[:, 2, 3], ask(critic, given[2, 3], taken[2, 3]))
    torch.testing.assert_close(whole[:, 2], ask(critic, given[2], taken[2]))


def test_each_critic_is_a_network_over_observation_and_unit_action():
    critic = CriticModel.from_spaces(VECTOR, ACTIONS["box"], hidden_sizes=(8,))
    state, taken = torch.randn(6, 4), torch.tensor([[-2.0, 0.0], [1.0, 0.5], [-0.5, 0.25]] * 2)
    unit = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]] * 2)
    q = ask(critic, state, taken)
    for k in range(2):
        net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
        layers = (critic.networks.hidden[0], critic.networks.output)
        for linear, layer in zip((net[0], net[2]), layers, strict=True):
            linear.weight.data, linear.bias.data = (
                layer.weight[k].t().detach(),
                layer.bias[k, 0].detach(),
            )
        torch.testing.assert_close(q[k], net(torch.cat([state, unit], -1)), rtol=1e-5, atol=1e-6)


def test_unbounded_dimensions_are_taken_as_they_are():
    low, high = np.array([-np.inf, -2, 0, -np.inf]), np.array([np.inf, 2, np.inf, 5])
    critic = CriticModel.from_spaces(VECTOR, spaces.Box(low, high, dtype=np.float64))
    taken = torch.tensor([3.0, 1.0, 4.0, -7.0])
    assert critic.action_scale.to_unit(taken).tolist() == [3.0, 0.5, 4.0, -7.0]
    whole = CriticModel.from_spaces(VECTOR, ACTIONS["matrix"])
    assert whole.action_scale.is_identity


def test_the_action_mask_is_not_an_input():
    critic = CriticModel.from_spaces(OBSERVATIONS["fused"], ACTIONS["discrete"])
    given = random_tree(OBSERVATIONS["fused"], (5,))
    other = given._replace(action_mask=1 - given.action_mask.clamp(max=1))
    assert torch.equal(ask(critic, given), ask(critic, other))


def test_observations_are_normalised_by_statistics_that_travel_with_the_state():
    critic = CriticModel.from_spaces(VECTOR, ACTIONS["box"], normalize_observation=True)
    plain = CriticModel.from_spaces(VECTOR, ACTIONS["box"])
    state, taken = 5 + 3 * torch.randn(200, 4), random_tree(ACTIONS["box"], (200,))
    critic.update_normalizer(state.reshape(20, 10, 4))
    plain.update_normalizer(state)  # does nothing, and may be called
    plain.networks.load_state_dict(critic.networks.state_dict())
    white = (state - state.mean(0)) / state.std(0, correction=0)
    torch.testing.assert_close(
        ask(critic, state, taken), ask(plain, white, taken), rtol=1e-4, atol=1e-5
    )
    twin = CriticModel.from_spaces(VECTOR, ACTIONS["box"], normalize_observation=True)
    twin.load_state_dict(critic.state_dict())
    assert torch.equal(ask(twin, state, taken), ask(critic, state, taken))
    assert not any("action_scale" in name for name in critic.state_dict())


def test_training_by_batch_statistics_is_an_argument():
    critic = CriticModel.from_spaces(VECTOR, ACTIONS["box"], batch_renorm=True)
    state, taken = 5 + 3 * torch.randn(50, 4), random_tree(ACTIONS["box"], (50,))
    before = ask(critic, state, taken)
    assert torch.equal(ask(critic.train(), state, taken), before)  # not the mode of the module
    trained = ask(critic, state, taken, train=True)
    assert not torch.allclose(trained, before)
    assert not torch.equal(ask(critic, state, taken), before)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("action", ["matrix", "discrete"])
def test_critics_share_a_memory_whose_state_goes_in_and_out(action, kind):
    """Step by step, or from a state within, as at once; the past of an episode is not seen."""
    critic = CriticModel.from_spaces(
        VECTOR, ACTIONS[action], hidden_sizes=(8,), recurrent=kind, rnn_size=6
    )
    T, B = 5, 3
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[0] = reset[2, 1] = True
    previous, taken = (random_tree(ACTIONS[action], (T, B)) for _ in range(2))
    inputs = AgentInputs(torch.randn(T, B, 4), previous, torch.randn(T, B), reset)
    taken = None if action == "discrete" else taken
    whole = critic(*inputs, critic.initial_state(B), taken)
    assert whole.shape == (2, T, B, 3 if action == "discrete" else 1)
    state = critic.next_state(inputs[:2], critic.initial_state(B))
    rest = critic(*inputs[2:], state, None if taken is None else taken[2:])
    torch.testing.assert_close(rest, whole[:, 2:])
    assert not torch.allclose(
        rest[:, :, 0],
        critic(*inputs[2:], critic.initial_state(B), None if taken is None else taken[2:])[:, :, 0],
    )
    earlier = inputs._replace(observation=inputs.observation.clone())
    earlier.observation[:2] += 1.0
    other = critic(*earlier, critic.initial_state(B), taken)
    torch.testing.assert_close(other[:, 2:, 1], whole[:, 2:, 1])
    assert not torch.allclose(other[:, 2:, 0], whole[:, 2:, 0])
    whole.square().sum().backward()
    assert all(parameter.grad.any() for parameter in critic.parameters())


@pytest.mark.parametrize(
    ("action_space", "options", "message"),
    [
        (spaces.MultiDiscrete([2, 3]), {}, "is no Box of real numbers"),
        (spaces.Box(0, 9, (2,), np.int64), {}, "is no Box of real numbers"),
        (spaces.Box(np.zeros(2, np.float32), np.array([1, 0], np.float32)), {}, "low >= high"),
        (spaces.Discrete(3), {"n_outputs": 25}, "n_outputs=25"),
        (ACTIONS["box"], {"n_critics": 0}, "use 1 or more"),
        (ACTIONS["box"], {"image": "natur"}, "did you mean 'nature'"),
        (ACTIONS["box"], {"recurrent": "lstn"}, "did you mean 'lstm'"),
        (ACTIONS["box"], {"recurrent": "gru", "rnn_size": 0}, "use 1 or more"),
        (ACTIONS["box"], {"recurrent": "gru", "batch_renorm": True}, "choose one of them"),
    ],
)
def test_what_is_wrong_is_named(action_space, options, message):
    with pytest.raises(RlpytError, match=message):
        CriticModel.from_spaces(VECTOR, action_space, **options)


def test_it_compiles_to_one_graph_with_the_same_values():
    critic = CriticModel.from_spaces(VECTOR, ACTIONS["box"], hidden_sizes=(8,))
    state, taken = torch.randn(6, 4), random_tree(ACTIONS["box"], (6,))
    compiled = torch.compile(critic, fullgraph=True, backend="eager")
    torch.testing.assert_close(ask(compiled, state, taken), ask(critic, state, taken))
