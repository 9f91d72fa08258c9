"""The policy-gradient agent: one step, one sequence, any spaces, masks, and nothing kept."""

import pickle

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlpyt.agents.base import Exploration
from rlpyt.agents.pg import AgentInfo, PgAgent
from rlpyt.data import AgentInputs, EnvSpaces, NoState, RnnState, Samples
from rlpyt.envs.spaces import example_of
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.errors import RlpytError

CPU = torch.device("cpu")
VECTOR = spaces.Box(-1, 1, (3,), np.float32)
ACTION_SPACES = {
    "discrete": spaces.Discrete(4, start=1),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary([2, 2]),
    "box": spaces.Box(-1, 1, (2,), np.float32),
    "nested": spaces.Dict(
        x=spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (1,), np.float32)]),
        y=spaces.MultiBinary(2),
    ),
}
MODELS = {
    "feed_forward": {},
    "shared": {"shared_trunk": True},
    "gru": {"recurrent": "gru", "rnn_size": 5},
    "lstm": {"recurrent": "lstm", "rnn_size": 5},
}


def made(observation=VECTOR, action=ACTION_SPACES["discrete"], *, seed=0, **kwargs):
    agent = PgAgent(**kwargs)
    agent.initialize(EnvSpaces(observation, action), seed=seed, device=CPU)
    return agent


def random_tree(space, leading, seed=0):
    """Samples of ``space``, counted from 0, [*leading, ...]."""
    rng = np.random.default_rng(seed)

    def fill(leaf):
        shape = (*leading, *leaf.shape)
        if leaf.dtype == np.float32:
            return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))
        return torch.from_numpy(rng.integers(2, size=shape).astype(leaf.dtype))

    return buffer_map(fill, example_of(space))


def random_inputs(observation, action, leading, seed=0):
    reset = torch.zeros(leading, dtype=torch.bool)
    return AgentInputs(
        random_tree(observation, leading, seed),
        random_tree(action, leading, seed + 1),
        random_tree(spaces.Box(-1, 1, (), np.float32), leading, seed + 2),
        reset,
    )


def noise_for(agent, B, seed=0):
    return torch.from_numpy(agent.draw_noise(np.random.default_rng(seed), (B,), Exploration(0, 1)))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ACTION_SPACES)
def test_a_step_gives_an_action_of_the_space_and_what_is_recorded(name, model):
    action_space = ACTION_SPACES[name]
    agent = made(action=action_space, model_kwargs=MODELS[model])
    B = 6
    state = agent.initial_state(B)
    given = random_inputs(VECTOR, action_space, (B,))
    step, following = agent.step(given, state, noise_for(agent, B))
    for leaf, example in zip(leaves(step.action), leaves(example_of(action_space)), strict=True):
        assert leaf.shape == (B, *example.shape)
        assert leaf.detach().numpy().dtype == example.dtype
    assert type(step.agent_info) is AgentInfo
    assert step.agent_info.value.shape == (B,)
    assert agent.distribution.log_prob(step.agent_info.dist_info, step.action).shape == (B,)
    if agent.recurrent:
        assert step.agent_info.prev_rnn_state is state
        assert type(following) is RnnState
        assert (following.hidden != 0).any()
    else:
        assert step.agent_info.prev_rnn_state is None
        assert len(following) == len(agent.initial_state(B)) == 0
    assert torch.equal(agent.value(given, state), step.agent_info.value)


@pytest.mark.parametrize("model", MODELS)
def test_acting_is_stepping_but_for_what_finish_fills_in(model):
    agent = made(model_kwargs=MODELS[model])
    T, B = 4, 3
    given = random_inputs(VECTOR, ACTION_SPACES["discrete"], (T, B))
    state, stepped, acted = agent.initial_state(B), [], []
    for t in range(T):
        noise = noise_for(agent, B, seed=t)
        acted.append(agent.act(given[t], state, noise)[0])
        step, state = agent.step(given[t], state, noise)
        stepped.append(step)
    for one, other in zip(acted, stepped, strict=True):
        assert torch.equal(one.action, other.action)
        assert torch.equal(one.agent_info.dist_info.log_prob, other.agent_info.dist_info.log_prob)
    expected = torch.stack([step.agent_info.value for step in stepped]).detach()
    left_out = [step.agent_info.value is None for step in acted]
    assert left_out == [model == "feed_forward"] * T  # whose value network is its own
    info = AgentInfo(None, torch.full((T, B), torch.nan) if left_out[0] else expected.clone())
    with torch.inference_mode():
        agent.finish(recorded(given, info))
    torch.testing.assert_close(info.value, expected, rtol=0, atol=1e-5)


def recorded(given, info):
    """A batch of samples with these inputs and this info of the agent."""
    nothing = torch.zeros(given.reset.shape)
    never = torch.zeros_like(given.reset)
    return Samples(*given, given.prev_action, info, nothing, never, never)


@pytest.mark.parametrize("name", ACTION_SPACES)
def test_without_noise_it_takes_the_mode(name):
    agent = made(action=ACTION_SPACES[name])
    given = random_inputs(VECTOR, ACTION_SPACES[name], (5,))
    step, _ = agent.step(given, NoState(), None)
    mode = agent.distribution.mode(step.agent_info.dist_info)
    for one, other in zip(leaves(step.action), leaves(mode), strict=True):
        assert torch.equal(one, other)


def test_nothing_is_kept_between_calls():
    agent = made(model_kwargs=MODELS["lstm"])
    state = agent.initial_state(3)
    given = random_inputs(VECTOR, ACTION_SPACES["discrete"], (3,))
    first, _ = agent.step(given, state, noise_for(agent, 3))
    agent.step(given, agent.initial_state(3), noise_for(agent, 3, seed=1))
    again, _ = agent.step(given, state, noise_for(agent, 3))
    assert torch.equal(first.action, again.action)
    assert torch.equal(first.agent_info.value, again.agent_info.value)
    assert (state.hidden == 0).all()


@pytest.mark.parametrize("model", MODELS)
def test_a_sequence_is_its_steps(model):
    agent = made(model_kwargs=MODELS[model])
    T, B = 9, 3
    given = random_inputs(VECTOR, ACTION_SPACES["discrete"], (T, B))
    given.reset[4, 1] = given.reset[5, 0] = given.reset[5, 2] = True
    given.reset[0] = True
    state = agent.initial_state(B)
    evaluation = agent.evaluate(given, state)
    assert evaluation.value.shape == (T, B)
    for t in range(T):
        step, state = agent.step(given[t], state, noise_for(agent, B))
        found = evaluation[t]
        torch.testing.assert_close(found.value, step.agent_info.value, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            found.dist_info.log_prob, step.agent_info.dist_info.log_prob, rtol=0, atol=1e-5
        )


def test_a_flat_minibatch_will_do_where_feed_forward():
    agent = made()
    given = random_inputs(VECTOR, ACTION_SPACES["discrete"], (4, 3))
    flat = buffer_map(lambda leaf: leaf.flatten(0, 1), given)
    one = agent.evaluate(agent.learning_inputs(given), NoState())
    other = agent.evaluate(agent.learning_inputs(flat), NoState())
    torch.testing.assert_close(one.value.flatten(), other.value)


def test_learning_takes_only_what_the_model_reads():
    given = random_inputs(VECTOR, ACTION_SPACES["discrete"], (4, 3))
    feed_forward = made().learning_inputs(given)
    assert feed_forward.observation is given.observation
    assert feed_forward[1:2].prev_action is None
    assert feed_forward.prev_reward is None
    assert made(model_kwargs=MODELS["gru"]).learning_inputs(given) is given


def test_the_first_state_is_the_recorded_one():
    hidden = torch.arange(24.0).reshape(4, 3, 1, 2)
    info = AgentInfo(None, torch.zeros(4, 3), RnnState(hidden))
    assert torch.equal(made(model_kwargs=MODELS["gru"]).first_state(info).hidden, hidden[0])
    assert len(made().first_state(AgentInfo(None, torch.zeros(4, 3)))) == 0


# --- action masks ------------------------------------------------------------------------------


def masked(n):
    return spaces.Dict(x=VECTOR, action_mask=spaces.MultiBinary(n))


@pytest.mark.parametrize(
    ("action_space", "n"),
    [(spaces.Discrete(5), 5), (spaces.MultiDiscrete([2, 3]), 5)],
    ids=str,
)
def test_a_masked_action_is_never_taken(action_space, n):
    space = masked(n)
    agent = made(space, action_space)
    B = 400
    given = random_inputs(space, action_space, (B,))
    mask = torch.ones(B, n, dtype=torch.int8)
    mask[:, [1, 3]] = 0
    given = given._replace(observation=given.observation._replace(action_mask=mask))
    for noise in (noise_for(agent, B), None):
        step, _ = agent.step(given, NoState(), noise)
        if isinstance(action_space, spaces.Discrete):
            assert not torch.isin(step.action, torch.tensor([1, 3])).any()
        else:
            assert (step.action[:, 0] == 0).all()  # 1 is masked
            assert (step.action[:, 1] != 1).all()  # 3 is its second entry
    evaluation = agent.evaluate(given, NoState())
    assert torch.equal(
        leaves(evaluation.dist_info)[0], leaves(agent.step(given, NoState(), None)[0])[1]
    )


def test_a_mask_of_the_wrong_length_is_refused():
    with pytest.raises(RlpytError, match=r"action_mask.*shape \(4,\).*takes 5 entries") as caught:
        made(masked(4), spaces.Discrete(5))
    assert caught.value.code == "space"


def test_a_mask_of_several_dimensions_is_refused():
    observation = spaces.Dict(x=VECTOR, action_mask=spaces.MultiBinary([2, 3]))
    with pytest.raises(RlpytError, match=r"action_mask.*shape \(2, 3\).*takes 6 entries"):
        made(observation, spaces.MultiDiscrete([3, 3]))


def test_a_mask_means_nothing_to_a_box_of_actions():
    with pytest.raises(RlpytError, match="takes 0 entries"):
        made(masked(2), ACTION_SPACES["box"])


# --- parameters --------------------------------------------------------------------------------


def parameters(agent):
    return torch.cat([value.flatten() for value in agent.state_dict()["model"].values()])


def test_parameters_come_from_the_seed_alone():
    before = torch.get_rng_state()
    assert torch.equal(parameters(made(seed=1)), parameters(made(seed=1)))
    assert not torch.equal(parameters(made(seed=1)), parameters(made(seed=2)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("model", MODELS)
def test_parameters_are_saved_and_loaded(model):
    one, other = (made(seed=seed, model_kwargs=MODELS[model]) for seed in (1, 2))
    other.load_state_dict(one.state_dict())
    assert torch.equal(parameters(one), parameters(other))
    given = random_inputs(VECTOR, ACTION_SPACES["discrete"], (3,))
    assert torch.equal(
        one.value(given, one.initial_state(3)), other.value(given, other.initial_state(3))
    )


def test_uninitialized_it_is_its_configuration():
    agent = PgAgent(model_kwargs={"hidden_sizes": [8]}, squash=True)
    assert agent == PgAgent(model_kwargs={"hidden_sizes": [8]}, squash=True) != PgAgent()
    assert pickle.loads(pickle.dumps(agent)) == agent
    assert "hidden_sizes" in repr(agent)
    agent.initialize(EnvSpaces(VECTOR, ACTION_SPACES["box"]), seed=0, device=CPU)
    assert agent == PgAgent(model_kwargs={"hidden_sizes": [8]}, squash=True)
    assert agent.device == CPU


def test_squashed_actions_stay_within_their_bounds():
    space = spaces.Box(np.array([-2, 0], np.float32), np.array([1, 0.5], np.float32))
    agent = made(action=space, squash=True)
    given = random_inputs(VECTOR, space, (500,))
    action = agent.step(given, NoState(), 3 * noise_for(agent, 500))[0].action.detach().numpy()
    assert (action >= space.low).all()
    assert (action <= space.high).all()
    free = made(action=space)
    action = free.step(given, NoState(), 3 * noise_for(free, 500))[0].action.detach().numpy()
    assert (action > space.high).any()  # clipped only where it meets the environment


def test_an_unknown_model_argument_is_refused():
    with pytest.raises((RlpytError, TypeError), match="hiden_sizes"):
        made(model_kwargs={"hiden_sizes": [8]})


def test_the_normalizer_learns_from_batches():
    agent = made(model_kwargs={"normalize_observation": True})
    plain = made()
    given = random_inputs(VECTOR, ACTION_SPACES["discrete"], (20, 3))
    shifted = given._replace(observation=given.observation * 3 + 5)
    before = agent.value(shifted[0], NoState())
    agent.model.update_normalizer(shifted.observation, None)
    after = agent.value(shifted[0], NoState())
    assert (before != after).all()
    plain.model.update_normalizer(shifted.observation, None)  # does nothing, and may be called


def test_observations_of_every_kind():
    space = spaces.Dict(
        a=spaces.Discrete(3),
        b=spaces.Tuple([VECTOR, spaces.MultiBinary(2)]),
        c=spaces.Box(0, 1, ()),
    )
    agent = made(space)
    given = random_inputs(space, ACTION_SPACES["discrete"], (5,))
    assert type(given.observation) is namedarraytuple("DictTree", ("a", "b", "c"))
    assert agent.value(given, NoState()).shape == (5,)
