"""Products in bfloat16: nearly the same losses and gradients, and parameters that stay float32."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from qpg_fakes import CASES
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.agents.dqn import DqnAgent
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.dqn import DQN
from rlpyt.algos.pg import IMPALA, PPO
from rlpyt.algos.qpg import QpgAlgorithm
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError

MODEL = {"hidden_sizes": (64, 64)}


def parts(name: str, settings: dict[str, Any]) -> tuple[RlAlgorithm, Agent, SerialSampler]:
    if name in CASES:
        runner = CASES[name].runner()
        return replace(runner.algo, **settings), runner.agent, runner.sampler
    sampler = SerialSampler(env="CartPole-v1", batch_T=32, batch_B=4)
    if name == "dqn":
        dqn = DQN(replay=ReplayBuffer(size=500), min_steps_learn=0, replay_ratio=0.25, **settings)
        return dqn, DqnAgent(model_kwargs=MODEL), sampler
    on_policy = {"ppo": PPO(epochs=1, minibatches=1, **settings), "impala": IMPALA(**settings)}
    return on_policy[name], PgAgent(model_kwargs=MODEL), sampler


def first_step(name: str, **settings: Any) -> tuple[dict[str, list[float]], Tensor, Agent]:
    """What is reported of the first gradient steps, how far parameters went, and the agent."""
    algo, agent, sampler = parts(name, settings)
    agent.initialize(sampler.env_spaces(), seed=0, device=torch.device("cpu"))
    sampler.initialize(agent, seed=0, bootstrap_value=algo.bootstrap_value)
    algo.initialize(agent, n_itr=10, batch_spec=sampler.batch_spec, seed=0)
    before = torch.cat([p.detach().flatten() for p in agent.model.parameters()])
    itr, found = 0, {}
    while not found:
        found = algo.optimize_agent(itr, sampler.obtain_samples(itr)[0])
        itr += 1
    sampler.shutdown()
    after = torch.cat([p.detach().flatten() for p in agent.model.parameters()])
    return found, after - before, agent


@pytest.mark.parametrize("name", ["ppo", "impala", "dqn", "sac", "td3"])
def test_losses_and_steps_are_nearly_the_same(name: str) -> None:
    wanted, step, _agent = first_step(name)
    found, rounded_step, agent = first_step(name, precision="bfloat16")
    assert found != wanted, "nothing was rounded"
    for key, values in wanted.items():
        scale = max(0.1, abs(values[0]))
        assert found[key][0] == pytest.approx(values[0], abs=0.05 * scale), key
    assert torch.cosine_similarity(step, rounded_step, dim=0) > 0.9
    assert all(p.dtype == torch.float32 for p in agent.model.parameters())


def test_actor_critics_take_it_for_both_networks() -> None:
    algo, *_rest = parts("sac", {"precision": "bfloat16"})
    assert isinstance(algo, QpgAlgorithm)
    found, *_rest = first_step("sac", precision="bfloat16")
    wanted, *_rest = first_step("sac")
    assert found["qGradNorm"] != wanted["qGradNorm"]
    assert found["piGradNorm"] != wanted["piGradNorm"]


def test_other_precisions_are_refused() -> None:
    told = r"algo\.precision = 'float16' is none of 'float32', 'bfloat16'"
    with pytest.raises(RlpytError, match=told):
        first_step("ppo", precision="float16")


def test_graphs_want_an_accelerator() -> None:
    with pytest.raises(RlpytError, match=r"algo\.compile='graphs' on a CPU"):
        first_step("ppo", compile="graphs")
