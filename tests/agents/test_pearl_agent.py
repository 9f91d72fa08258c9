"""PEARL's agent: what it believes, when it draws z, and how it acts."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from rlpyt.agents import Actor, Conditioned, PearlAgent, QpgAgent
from rlpyt.agents.base import Exploration
from rlpyt.data import AgentInputs, EnvSpaces, NoState
from rlpyt.envs import EnvConfig, peek_spaces
from rlpyt.envs.context_trials import Draw
from rlpyt.envs.spaces import example_of
from rlpyt.models.context import Context
from rlpyt.ops.posterior import Gaussians
from rlpyt.utils.buffer import buffer_from_example, buffer_map, torchify_buffer
from rlpyt.utils.errors import RlpytError

CPU = torch.device("cpu")
TRIALS = EnvConfig(
    id="rlpyt.envs.adaptation:training_trials",
    kwargs={"env": "rlpyt.envs.meta:point_robot", "n_train": 4},
)
KEEP, PRIOR, POSTERIOR = (float(draw) for draw in (Draw.KEEP, Draw.PRIOR, Draw.POSTERIOR))
B = 3


def made(**encoder_kwargs: Any) -> PearlAgent:
    agent = PearlAgent(
        policy=QpgAgent(model_kwargs={"hidden_sizes": (16,)}),
        latent_size=2,
        encoder_kwargs={"hidden_sizes": (8,), **encoder_kwargs},
    )
    agent.initialize(peek_spaces(TRIALS), seed=0, device=CPU)
    return agent


def inputs(
    t: int, *, draw: float = KEEP, in_context: Any = 1, reset: bool = False
) -> tuple[AgentInputs, Context]:
    """Step ``t`` of B trials with numbers of its own; and the transition that led there."""
    spaces_ = peek_spaces(TRIALS)
    rng = torch.Generator().manual_seed(t)
    seen = buffer_from_example(torchify_buffer(example_of(spaces_.observation)), (B,))
    last = seen.last
    for leaf in (seen.observation, last.observation, last.action, last.next_observation):
        leaf.copy_(torch.randn(leaf.shape, generator=rng))
    last.context_reward.copy_(torch.randn(B, generator=rng))
    seen.draw.fill_(int(draw))
    seen.in_context.copy_(torch.as_tensor(in_context).expand(B))
    context = Context(last.observation, last.action, last.context_reward, last.next_observation)
    given = AgentInputs(
        observation=seen,
        prev_action=torch.zeros(B, 2),
        prev_reward=torch.zeros(B),
        reset=torch.full((B,), reset),
    )
    return given, buffer_map(lambda leaf: leaf.unsqueeze(1), context)


def joined(*contexts: Context) -> Context:
    joined: Context = buffer_map(lambda *parts: torch.cat(parts, 1), *contexts)
    return joined


def noise(agent: PearlAgent, t: int) -> Tensor:
    return torch.randn(B, agent.noise_size, generator=torch.Generator().manual_seed(100 + t))


@pytest.mark.parametrize("next_observation", [False, True])
def test_z_is_from_the_belief_that_all_of_the_context_gives(next_observation: bool):
    agent = made(next_observation=next_observation)
    state, seen = agent.initial_state(B), []
    for t in range(4):  # the third one is no context
        given, context = inputs(t, in_context=0 if t == 2 else 1, draw=PRIOR if t == 0 else KEEP)
        _step, state = agent.step(given, state, noise(agent, t))
        seen += [] if t == 2 else [context]
    given, context = inputs(4, draw=POSTERIOR)
    drawn = noise(agent, 4)
    step, state = agent.step(given, state, drawn)
    belief: Gaussians = agent.encoder(joined(*seen, context))
    expected = belief.mean + belief.var.sqrt() * drawn[:, :2]
    torch.testing.assert_close(step.agent_info.latent, expected, rtol=1e-4, atol=1e-5)
    order = agent.encoder(joined(context, *reversed(seen)))
    torch.testing.assert_close(order.mean, belief.mean)


def test_z_stays_for_a_trajectory_and_changes_the_action():
    agent = made()
    state = agent.initial_state(B)
    given, _context = inputs(0, draw=PRIOR, in_context=0)
    step, state = agent.step(given, state, noise(agent, 0))
    first = step.agent_info.latent
    assert torch.equal(first, noise(agent, 0)[:, :2])  # the prior is N(0, 1)
    for t in (1, 2):
        given, _context = inputs(t)
        step, state = agent.step(given, state, noise(agent, t))
        assert torch.equal(step.agent_info.latent, first)
    given, _context = inputs(3, draw=PRIOR)
    other, _state = agent.step(given, state, noise(agent, 3))
    assert torch.equal(other.agent_info.latent, noise(agent, 3)[:, :2])
    same_but_z, _state = agent.step(inputs(3)[0], state, noise(agent, 3))
    assert not torch.equal(other.action, same_but_z.action)


def test_environments_draw_each_for_itself():
    agent = made()
    state = agent.initial_state(B)
    given, context = inputs(0)
    given.observation.draw.copy_(torch.tensor([Draw.KEEP, Draw.PRIOR, Draw.POSTERIOR]))
    given.observation.in_context.copy_(torch.tensor([1, 0, 1]))
    drawn = noise(agent, 0)
    step, state = agent.step(given, state, drawn)
    belief = agent.encoder(context)
    latent = step.agent_info.latent
    assert torch.equal(latent[0], torch.zeros(2))
    assert torch.equal(latent[1], drawn[1, :2])
    torch.testing.assert_close(latent[2], belief.mean[2] + belief.var[2].sqrt() * drawn[2, :2])
    assert (state.evidence.weight > 0).all(-1).tolist() == [True, False, True]


def test_a_new_trial_forgets():
    agent = made()
    actor = Actor(agent, range(B), seed=0)
    actor.begin_batch(3, 0)
    actor(inputs(0, draw=PRIOR, in_context=0, reset=True)[0])
    actor(inputs(1)[0])
    assert (actor.state.evidence.weight > 0).all()
    actor(inputs(2, draw=PRIOR, in_context=0, reset=True)[0])
    assert torch.equal(actor.state.evidence.weight, torch.zeros(B, 2))


def test_the_deterministic_encoder_is_certain():
    agent = made(deterministic=True)
    state = agent.initial_state(B)
    step, state = agent.step(inputs(0, draw=PRIOR, in_context=0)[0], state, noise(agent, 0))
    assert torch.equal(step.agent_info.latent, torch.zeros(B, 2))
    contexts = []
    for t in (1, 2):
        given, context = inputs(t, draw=POSTERIOR)
        step, state = agent.step(given, state, noise(agent, t))
        contexts.append(context)
    outputs = agent.encoder.evidence(joined(*contexts)).weighted
    torch.testing.assert_close(step.agent_info.latent, outputs.mean(1))


def test_an_evaluation_draws_z_and_takes_the_mode():
    agent = made()
    training, evaluation = Exploration(0, 1, 0), Exploration(0, 1)
    drawn = agent.draw_noise(np.random.default_rng(0), (50,), training)
    judged = agent.draw_noise(np.random.default_rng(0), (50,), evaluation)
    assert drawn.shape == judged.shape == (50, agent.noise_size)
    assert np.array_equal(drawn[:, :2], judged[:, :2])
    assert not judged[:, 2:].any()
    assert not drawn[:, 2].any()  # never a random action
    assert np.std(drawn[:, [0, 1, 3, 4]]) == pytest.approx(1.0, abs=0.15)
    state = agent.initial_state(B)
    given, _context = inputs(0, draw=PRIOR, in_context=0)
    rows = torch.from_numpy(judged[:B])
    step, _state = agent.step(given, state, rows)
    assert torch.equal(step.agent_info.latent, rows[:, :2])
    seen = Conditioned(given.observation.observation, step.agent_info.latent)
    params, _state = agent.policy.model(*given._replace(observation=seen), NoState())
    mode = torch.tanh(params[:, :2])
    torch.testing.assert_close(step.action, mode)
    greedy, _state = agent.step(given, state, None)
    assert torch.equal(greedy.agent_info.latent, torch.zeros(B, 2))


def test_noise_does_not_depend_on_how_steps_are_cut():
    agent = made()
    where = Exploration(0, 1, 0)
    whole = agent.draw_noise(np.random.default_rng(3), (7,), where)
    rng = np.random.default_rng(3)
    parts = [agent.draw_noise(rng, (n,), where) for n in (2, 5)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_what_cannot_be_is_refused():
    plain = EnvSpaces(spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (2,)))
    with pytest.raises(RlpytError, match="PEARL acts in trials"):
        PearlAgent().initialize(plain, seed=0, device=CPU)
    agent = PearlAgent(policy=QpgAgent(policy="deterministic"))
    with pytest.raises(RlpytError, match=r"agent\.policy\.policy='deterministic'"):
        agent.initialize(peek_spaces(TRIALS), seed=0, device=CPU)
    with pytest.raises(RlpytError, match="hidden_size"):
        made(hidden_size=3)
