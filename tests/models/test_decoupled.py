"""The model of two networks: shapes, what shares parameters and what does not, options."""

import pytest
import torch
from gymnasium import spaces
from test_pg_model import ACTIONS, OBSERVATIONS, random_inputs, random_tree

from rlpyt.data import NoState
from rlpyt.distributions.factory import distribution_for
from rlpyt.models.decoupled import DecoupledPgModel
from rlpyt.utils.errors import RlpytError


def names_with_gradient(model, output):
    model.zero_grad()
    output.sum().backward()
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }


@pytest.mark.parametrize("auxiliary", ["advantage", "value"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_shapes_and_who_learns_from_what(observation, action, auxiliary):
    observation_space, action_space = OBSERVATIONS[observation], ACTIONS[action]
    torch.manual_seed(0)
    model = DecoupledPgModel.from_spaces(observation_space, action_space, auxiliary=auxiliary)
    seen, previous, reward, reset = random_inputs(observation_space, action_space, (5, 3))
    outputs, state = model(seen, previous, reward, reset, NoState())
    assert outputs.params.shape == (5, 3, distribution_for(action_space).param_size)
    assert outputs.value.shape == (5, 3)
    assert type(state) is NoState
    params, predicted = model.policy_and_auxiliary(seen, random_tree(action_space, (5, 3)))
    assert predicted.shape == (5, 3)
    torch.testing.assert_close(params, outputs.params)
    torch.testing.assert_close(model.policy_params(seen), outputs.params)
    torch.testing.assert_close(model.value(seen, previous, reward, reset, state), outputs.value)
    value = names_with_gradient(model, outputs.value)
    head = names_with_gradient(model, predicted)
    assert value
    assert all(name.startswith("value_network.") for name in value)
    assert all(name.startswith("policy_network.") for name in head)
    assert {"policy_network.head.output.weight", "policy_network.head.output.bias"} <= head
    assert not any(name.startswith("policy_network.policy") for name in head)


def test_only_an_advantage_looks_at_the_action():
    observation, action = OBSERVATIONS["vector"], spaces.Discrete(3)
    seen, first, second = torch.randn(4, 4), torch.zeros(4).long(), torch.ones(4).long()
    model = DecoupledPgModel.from_spaces(observation, action, auxiliary="advantage")
    found = [model.policy_and_auxiliary(seen, each)[1] for each in (first, second)]
    assert not torch.allclose(*found)
    model = DecoupledPgModel.from_spaces(observation, action, auxiliary="value")
    assert torch.equal(*[model.policy_and_auxiliary(seen, each)[1] for each in (first, None)])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"auxiliary": "valeu"}, "auxiliary='valeu'"), ({"hidden_sizes": (8, 0)}, "hidden_sizes=")],
    ids=str,
)
def test_options_are_checked(options, message):
    with pytest.raises(RlpytError, match=message):
        DecoupledPgModel.from_spaces(OBSERVATIONS["vector"], ACTIONS["box"], **options)
