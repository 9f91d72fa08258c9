"""Epsilon: each environment's own, whoever steps it; a schedule in environment steps; and the
evaluation's.
"""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from parallel_fakes import FEW_CPUS, LAYOUTS
from sampler_fakes import CPU

from rlpyt.agents.base import Exploration
from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.envs.build import EnvConfig
from rlpyt.runners.evaluator import Evaluator
from rlpyt.samplers import BaseSampler
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.filterwarnings(FEW_CPUS)

N_ACTIONS, LENGTH = 5, 50
RANDOM = (N_ACTIONS - 1) / N_ACTIONS  # of random actions, those that are not the greedy one


class Odd(gymnasium.Env):
    """Pays 1 for every action but the first, and ends after ``LENGTH`` steps."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(N_ACTIONS)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.zeros(1, np.float32), float(action != 0), False, self.t == LENGTH, {}


def first_action_agent(epsilon: EpsilonGreedy) -> DqnAgent:
    """Greedily it takes the first action, always."""
    agent = DqnAgent(model_kwargs={"hidden_sizes": [2]}, epsilon=epsilon)
    sampler = sampler_of("serial")
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    with torch.no_grad():
        for parameter in agent.model.parameters():
            parameter.zero_()
        agent.model.head.output.bias[0] = 1.0
    return agent


def sampler_of(layout: str, **settings: Any) -> BaseSampler:
    cls, own = LAYOUTS[layout]
    common = {"env": EnvConfig(id=Odd), "batch_T": 250, "batch_B": 8, "group_size": 2}
    return cls(**{**common, **own, **settings})


def odd_actions(layout: str, epsilon: EpsilonGreedy, n_itr: int, **settings: Any) -> Any:
    """Whether each action was not the greedy one, [n_itr, T, B]."""
    sampler, agent = sampler_of(layout, **settings), first_action_agent(epsilon)
    try:
        sampler.initialize(agent, seed=0)
        batches = [(sampler.obtain_samples(itr)[0].action != 0).numpy() for itr in range(n_itr)]
        return np.stack([batch.copy() for batch in batches])
    finally:
        sampler.shutdown()


def assert_share(found: Any, epsilon: Any) -> None:
    """The share of odd actions over the first axis, within five standard errors."""
    expected = np.asarray(epsilon) * RANDOM
    error = np.sqrt(expected * (1 - expected) / len(found))
    assert (np.abs(found.mean(0) - expected) <= 5 * error + 1e-12).all(), (found.mean(0), expected)


def test_the_spacing_is_that_of_apex() -> None:
    """ε_i = ε^(1 + α i / (N - 1)) with ε = 0.4, α = 7 (Horgan et al. 2018)."""
    epsilon = EpsilonGreedy(final=0.4, final_min=0.4**8, steps=100)
    found = [epsilon.at(Exploration(i, 6, steps=100)) for i in range(6)]
    np.testing.assert_allclose(found, [0.4 ** (1 + 7 * i / 5) for i in range(6)], rtol=1e-12)
    assert epsilon.at(Exploration(0, 1, steps=100)) == 0.4
    same = EpsilonGreedy(final=0.4, steps=100)
    assert {same.at(Exploration(i, 6, steps=100)) for i in range(6)} == {0.4}


def test_the_schedule_counts_environment_steps() -> None:
    epsilon = EpsilonGreedy(initial=0.8, final=0.2, delay=1_000, steps=400, evaluation=0.05)
    where = [Exploration(3, 8, steps) for steps in (0, 1_000, 1_100, 1_300, 1_400, 9_999)]
    np.testing.assert_allclose([epsilon.at(w) for w in where], [0.8, 0.8, 0.65, 0.35, 0.2, 0.2])
    own = EpsilonGreedy(initial=1.0, final=0.4, final_min=0.1, steps=100)
    np.testing.assert_allclose(own.at(Exploration(7, 8, 50)), (1.0 + 0.1) / 2)
    assert epsilon.at(Exploration(3, 8, None)) == 0.05
    assert own.at(Exploration(7, 8, None)) == own.evaluation
    with pytest.raises(RlpytError, match=r"epsilon\.final=1\.5"):
        EpsilonGreedy(final=1.5)


def test_every_environment_has_its_own_epsilon() -> None:
    epsilon = EpsilonGreedy(initial=0.9, final=0.9, final_min=0.01, steps=1)
    found = odd_actions("serial", epsilon, 8)[1:].reshape(-1, 8)
    places = np.arange(8) / 7
    assert_share(found, 0.9 ** (1 - places) * 0.01**places)


@pytest.mark.parametrize("layout", ["cpu2", "cpu4", "gpu2", "alternating4"])
def test_the_layout_of_the_sampler_does_not_matter(layout: str) -> None:
    epsilon = EpsilonGreedy(final=0.9, final_min=0.01, delay=100, steps=800)
    settings = {"batch_T": 25}
    expected = odd_actions("serial", epsilon, 8, **settings)
    assert (odd_actions(layout, epsilon, 8, **settings) == expected).all()
    one_by_one = odd_actions("serial", epsilon, 8, **settings, group_size=1)
    assert (one_by_one == expected).all()


@pytest.mark.parametrize(("T", "B"), [(50, 8), (100, 4), (400, 1)])
def test_batches_of_equal_size_have_equal_schedules(T: int, B: int) -> None:
    """Steps are counted over all environments, however many these are."""
    settings = {"batch_T": T, "batch_B": B, "group_size": 1}
    epsilon = EpsilonGreedy(initial=1.0, final=0.0, delay=400, steps=4_000)
    found = odd_actions("serial", epsilon, 13, **settings).reshape(13, 400)
    assert_share(found.T, [1.0, *np.linspace(1.0, 0.0, 11), 0.0])
    assert not found[-2:].any()


@pytest.mark.parametrize("layout", ["serial", "cpu2", "gpu2"])
def test_evaluation_has_an_epsilon_of_its_own_or_none(layout: str) -> None:
    epsilon = EpsilonGreedy(initial=1.0, final=1.0, final_min=0.5, evaluation=0.3)
    sampler, agent = sampler_of(layout, batch_T=5), first_action_agent(epsilon)
    returns = {}
    try:
        sampler.initialize(agent, seed=0)
        for greedy in (True, False):
            evaluator = Evaluator(episodes=32, n_envs=8, greedy=greedy)
            evaluator.initialize(agent, sampler, seed=0, discount=1.0)
            trajs = evaluator.evaluate(0)
            returns[greedy] = np.array([[traj.env_index, traj.Return] for traj in trajs])
            evaluator.shutdown()
    finally:
        sampler.shutdown()
    assert not returns[True][:, 1].any()
    odd = np.sort(returns[False], axis=0)[:, 1]
    expected = 0.3 * RANDOM
    assert abs(odd.mean() / LENGTH - expected) < 5 * (expected / (32 * LENGTH)) ** 0.5
    for index in range(8):  # of four episodes each
        of_one = returns[False][returns[False][:, 0] == index, 1].mean() / LENGTH
        assert abs(of_one - expected) < 5 * (expected / (4 * LENGTH)) ** 0.5
