"""Off-policy actor-critics: what a step touches, how they go on, and that they learn."""

from typing import Any

import numpy as np
import pytest
import torch
from qpg_fakes import CASES
from toy_envs import CPU, copied

from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.qpg import SAC, TD3, QpgAlgorithm
from rlpyt.replays.priority import Prioritized
from rlpyt.runners.evaluator import Evaluator
from rlpyt.utils.errors import RlpytError

LONG = ("ddpg recurrent", "td3 recurrent")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.learning if name in LONG else ()) for name in CASES],
)
def test_learns_where_to_go(name: str) -> None:
    """At the centre of the bounds, or at random, the mean return is -1.3 or less."""
    made = CASES[name].runner(6_000 if "recurrent" in name else 3_000)
    made.train()
    evaluator = Evaluator(episodes=50, n_envs=10)
    evaluator.initialize(made.agent, made.sampler, seed=9, discount=1.0)
    trajs = evaluator.evaluate(0)
    evaluator.shutdown()
    assert sum(traj.Return for traj in trajs) / len(trajs) > -0.1


def started(name: str, **settings: Any) -> tuple[QpgAlgorithm, list[Any]]:
    """Initialised, and 20 batches of samples."""
    made = CASES[name].runner(**settings)
    algo, agent, sampler = made.algo, made.agent, made.sampler
    assert isinstance(algo, QpgAlgorithm)
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    sampler.initialize(agent, seed=0, discount=algo.discount)
    algo.initialize(agent, n_itr=20, batch_spec=sampler.batch_spec, seed=0)
    batches = [copied(sampler.obtain_samples(itr)[0]) for itr in range(20)]
    sampler.shutdown()
    return algo, batches


def parameters(algo: QpgAlgorithm) -> dict[str, torch.Tensor]:
    copies = {"policy": algo.target.policy, "critic": algo.target.critic}
    models = {
        "policy": algo.online.policy,
        "critic": algo.online.critic,
        **{f"target {name}": copies[name] for name in algo.target_networks},
    }
    found = {
        f"{kind}.{name}": p.detach().clone()
        for kind, model in models.items()
        for name, p in model.named_parameters()
    }
    if algo.temperature is not None:
        found["log_alpha"] = algo.state_dict()["temperature"]["log_alpha"].clone()
    return found


@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_every_parameter_moves_and_targets_start_as_the_online_networks(
    name: str, prioritized: bool
) -> None:
    priorities = Prioritized() if prioritized else None
    algo, batches = started(name, nonlinearity="tanh", prioritized=priorities)  # no unit is dead
    before = parameters(algo)
    for key, value in before.items():
        if key.startswith("target "):
            assert torch.equal(value, before[key.removeprefix("target ")])
    counts = [len(algo.optimize_agent(itr, b).get("qLoss", [])) for itr, b in enumerate(batches)]
    learned = algo.batch_size * (algo.replay.sequence_length or 1)
    assert counts == [0] * 12 + [16 * 16 // learned] * 8  # 16 for each of 16 steps, from 200 on
    for key, value in parameters(algo).items():
        share = (value != before[key]).double().mean().item()
        assert share > 0.99, f"{key}: {share:.0%} of its numbers moved"


@pytest.mark.parametrize("name", CASES)
def test_it_goes_on_from_its_state(name: str) -> None:
    algo, batches = started(name)
    other, _same = started(name)
    for itr, batch in enumerate(batches[:15]):
        algo.optimize_agent(itr, batch)
    other.agent.load_state_dict(copied_state(algo.agent.state_dict()))
    other.load_state_dict(copied_state(algo.state_dict()))
    for itr, batch in enumerate(batches[15:], 15):
        assert algo.optimize_agent(itr, batch) == other.optimize_agent(itr, batch)
    expected = parameters(algo)
    assert all(torch.equal(value, expected[key]) for key, value in parameters(other).items())


def copied_state(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: copied_state(value) for key, value in state.items()}
    if isinstance(state, torch.Tensor):
        return state.clone()
    return state.copy() if isinstance(state, np.ndarray) else state


@pytest.mark.parametrize(
    ("cls", "policy", "named"),
    [(SAC, "deterministic", "policy='gaussian'"), (TD3, "gaussian", "policy='deterministic'")],
)
def test_a_policy_that_it_cannot_learn_is_refused(cls: Any, policy: Any, named: str) -> None:
    made = CASES["sac"].runner()
    agent = QpgAgent(policy=policy)
    agent.initialize(made.sampler.env_spaces(), seed=0, device=CPU)
    with pytest.raises(RlpytError, match=named):
        cls().initialize(agent, n_itr=1, batch_spec=made.sampler.batch_spec, seed=0)
