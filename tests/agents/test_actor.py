"""An actor owns one group's recurrent state and generators; grouping changes no action."""

import copy
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlpyt.agents.base import Actor, Agent
from rlpyt.agents.pg import PgAgent
from rlpyt.data import AgentInputs, AgentStep, EnvSpaces, NoState, RnnState
from rlpyt.distributions import Bernoulli, Categorical, Composite, Gaussian
from rlpyt.utils.seed import Stream

CPU = torch.device("cpu")
DISTRIBUTIONS = [
    Categorical(5),
    Gaussian((2,)),
    Bernoulli((3,)),
    Composite((("a", Categorical(4)), ("b", Gaussian((1,))))),
]


@final
@dataclass(kw_only=True)
class FixedAgent(Agent):
    """The same distribution for every environment, whatever it observes; its state counts steps."""

    distribution: Any
    recurrent: bool = False

    def initialize(self, env_spaces, *, seed, device):
        raise NotImplementedError

    @property
    def device(self):
        return CPU

    @property
    def noise_size(self):
        return self.distribution.noise_size

    def draw_noise(self, rng, leading, where):
        return self.distribution.draw_noise(rng, leading)

    def initial_state(self, B):
        return RnnState(torch.zeros(B, 1, 1)) if self.recurrent else NoState()

    def step(self, inputs, state, noise):
        B = inputs.reset.shape[0]
        info = self.distribution.dist_info(torch.zeros(B, self.distribution.param_size))
        action = (
            self.distribution.mode(info) if noise is None else self.distribution.sample(info, noise)
        )
        following = RnnState(state.hidden + 1) if self.recurrent else state
        return AgentStep(action, state), following

    def act(self, inputs, state, noise):
        return self.step(inputs, state, noise)

    def finish(self, samples):
        pass

    def value(self, inputs, state):
        return inputs.observation + state.hidden[:, 0, 0]

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def inputs(B, reset=False):
    return AgentInputs(
        torch.zeros(B), torch.zeros(B), torch.zeros(B), torch.full((B,), fill_value=reset)
    )


def actions(actor, T, batches=1):
    """[T * batches, B, numbers of one action]."""
    found = []
    for _ in range(batches):
        actor.begin_batch(T)
        for _ in range(T):
            action = actor(inputs(actor.B)).action
            parts = action if isinstance(action, tuple) else (action,)
            found.append(torch.cat([part.reshape(actor.B, -1).double() for part in parts], -1))
    return torch.stack(found)


every_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)


@every_distribution
def test_actions_of_an_environment_do_not_depend_on_its_group(distribution):
    agent = FixedAgent(distribution=distribution)
    everyone = actions(Actor(agent, range(8), seed=2), 20)
    assert torch.equal(actions(Actor(agent, [5], seed=2), 20), everyone[:, [5]])
    assert torch.equal(actions(Actor(agent, [6, 1], seed=2), 20), everyone[:, [6, 1]])
    assert len({tuple(column.flatten().tolist()) for column in everyone.unbind(1)}) == 8


@every_distribution
def test_actions_do_not_depend_on_the_length_of_batches(distribution):
    agent = FixedAgent(distribution=distribution)
    once = actions(Actor(agent, range(3), seed=2), 12)
    assert torch.equal(actions(Actor(agent, range(3), seed=2), 3, batches=4), once)


def test_seed_stream_and_keys_choose_the_noise():
    agent = FixedAgent(distribution=Gaussian((1,)))
    variants = [
        {"seed": 0},
        {"seed": 1},
        {"seed": 0, "stream": Stream.EVAL_ACTION},
        {"seed": 0, "keys": (7,)},
    ]
    found = [actions(Actor(agent, [3], **variant), 5) for variant in variants]
    for i, one in enumerate(found):
        assert torch.equal(actions(Actor(agent, [3], **variants[i]), 5), one)
        for other in found[:i]:
            assert (one != other).all()


@every_distribution
def test_greedy_takes_modes_and_draws_nothing(distribution):
    agent = FixedAgent(distribution=distribution)
    greedy = Actor(agent, range(4), seed=0, greedy=True)
    found = actions(greedy, 6)
    assert (found == found[0, 0]).all()
    assert greedy.state_dict()["generators"] == []
    sampled = actions(Actor(agent, range(4), seed=0), 6)
    assert (sampled != found).any()


@every_distribution
def test_generators_continue_from_their_state(distribution):
    agent = FixedAgent(distribution=distribution)
    actor = Actor(agent, range(3), seed=2)
    actions(actor, 7)
    state = actor.state_dict()
    kept = copy.deepcopy(state)
    expected = actions(actor, 9)
    other = Actor(agent, range(3), seed=99)
    other.load_state_dict(state)
    assert torch.equal(actions(other, 9), expected)
    assert state == kept


def test_a_state_of_another_number_of_environments_is_refused():
    agent = FixedAgent(distribution=Categorical(2))
    state = Actor(agent, range(3), seed=2).state_dict()
    with pytest.raises(ValueError, match="zip"):
        Actor(agent, range(2), seed=2).load_state_dict(state)


def test_recurrent_state_advances_and_is_zero_where_reset():
    actor = Actor(FixedAgent(distribution=Categorical(2), recurrent=True), range(3), seed=0)
    actor.begin_batch(3)
    assert actor(inputs(3)).agent_info.hidden.flatten().tolist() == [0, 0, 0]
    reset = torch.tensor([False, True, False])
    second = actor(inputs(3)._replace(reset=reset)).agent_info
    assert second.hidden.flatten().tolist() == [1, 0, 1]
    assert actor(inputs(3)).agent_info.hidden.flatten().tolist() == [2, 1, 2]
    assert actor.state.hidden.flatten().tolist() == [3, 2, 3]


def test_a_state_that_is_not_a_number_is_zero_after_a_reset():
    actor = Actor(FixedAgent(distribution=Categorical(2), recurrent=True), range(2), seed=0)
    actor.begin_batch(1)
    actor.state.hidden.fill_(float("nan"))
    info = actor(inputs(2)._replace(reset=torch.tensor([True, False]))).agent_info
    assert info.hidden[0].item() == 0
    assert info.hidden[1].isnan()


def test_value_sees_the_state_and_leaves_it():
    actor = Actor(FixedAgent(distribution=Categorical(2), recurrent=True), range(2), seed=0)
    actor.begin_batch(1)
    actor(inputs(2))
    seen = inputs(2)._replace(observation=torch.tensor([10.0, 20.0]))
    for _ in range(2):
        assert actor.value(seen).tolist() == [11, 21]
    assert actor.state.hidden.flatten().tolist() == [1, 1]


def test_recurrent_state_is_saved_and_loaded():
    agent = PgAgent(model_kwargs={"recurrent": "lstm", "rnn_size": 4})
    agent.initialize(EnvSpaces(spaces.Box(-1, 1, (2,)), spaces.Discrete(3)), seed=0, device=CPU)
    rng = np.random.default_rng(0)

    def step(actor, observation):
        given = AgentInputs(
            torch.from_numpy(observation),
            torch.zeros(2, dtype=torch.int64),
            torch.zeros(2),
            torch.zeros(2, dtype=torch.bool),
        )
        actor.begin_batch(1)
        return actor(given)

    observations = rng.standard_normal((6, 2, 2)).astype(np.float32)
    with torch.inference_mode():
        actor = Actor(agent, range(2), seed=0)
        for observation in observations[:3]:
            step(actor, observation)
        state = actor.state_dict()
        expected = [step(actor, observation) for observation in observations[3:]]
        other = Actor(agent, range(2), seed=1)
        other.load_state_dict(state)
        for observation, wanted in zip(observations[3:], expected, strict=True):
            found = step(other, observation)
            assert torch.equal(found.action, wanted.action)
            assert torch.equal(found.agent_info.value, wanted.agent_info.value)
            assert torch.equal(
                found.agent_info.prev_rnn_state.cell, wanted.agent_info.prev_rnn_state.cell
            )
    assert state["state"].hidden.abs().sum() > 0
