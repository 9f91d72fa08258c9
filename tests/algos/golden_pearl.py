"""Three updates of PEARL on a fixed replay of three tasks, for the golden numbers."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from golden_qpg import filled
from torch import nn
from toy_envs import CPU, golden_numbers
from trial_fakes import Scripted

from rlpyt.agents import PearlAgent, QpgAgent
from rlpyt.algos import PEARL
from rlpyt.data import BatchSpec, EnvSpaces
from rlpyt.envs.context_trials import ContextTrials, Draw, Phase
from rlpyt.replays import TaskReplay, TaskTransitions

PEARL_CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pearl": ({"kl_lambda": 0.3}, {}),
    "pearl next observation": ({"reward_scale": 3.0}, {"next_observation": True}),
    "pearl certain windows": ({"context_sampling": "windows"}, {"deterministic": True}),
}
N_TASKS, N = 3, 12


def after_three_pearl_updates(
    settings: dict[str, Any], encoder_kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The numbers of policy and encoder, and of critics and values."""
    rng = np.random.default_rng(7)
    agent = PearlAgent(
        policy=QpgAgent(model_kwargs={"hidden_sizes": (8,)}),
        latent_size=2,
        encoder_kwargs={"hidden_sizes": (6,), **encoder_kwargs},
    )
    phase = Phase(steps=1, first=Draw.PRIOR, rest=Draw.PRIOR)
    tasks = [{"number": float(i)} for i in range(N_TASKS)]
    trials = ContextTrials(Scripted(), tasks=tasks, phases=[phase])
    agent.initialize(EnvSpaces(trials.observation_space, trials.action_space), seed=0, device=CPU)
    algo = PEARL(
        replay=TaskReplay(size=20),
        meta_batch=4,
        batch_size=5,
        context_size=6,
        train_steps=3,
        hidden_sizes=(8,),
        learning_rate=0.01,
        **settings,
    )
    for network in (agent.policy.model, agent.encoder):
        filled(network, rng)
    build = algo._networks
    algo.__dict__["_networks"] = lambda seed: tuple(filled(one, rng) for one in build(seed))
    algo.initialize(agent, n_itr=1, batch_spec=BatchSpec(4, 2), seed=3)
    for parameter in algo.target_value.parameters():
        parameter.add_(torch.tensor(0.2 * rng.standard_normal(parameter.shape)))
    for task in range(N_TASKS):
        algo.replay.append(task, fixed_transitions(rng), rng.random(N) < 0.7)
    opt_info = algo._learn(0.01)
    assert len(opt_info["qLoss"]) == 3
    learned = nn.ModuleDict({"policy": agent.policy.model, "encoder": agent.encoder})
    numbers = golden_numbers(SimpleNamespace(model=learned), opt_info)
    others = (algo.critic, algo.value, algo.target_value)
    sums = [sum(p.double().square().sum().item() for p in one.parameters()) for one in others]
    return {**numbers, "critics": sums}


def fixed_transitions(rng: np.random.Generator) -> TaskTransitions:
    """From numpy alone."""
    return TaskTransitions(
        observation=rng.standard_normal((N, 3)),
        action=rng.uniform(-1.0, 1.0, (N, 2)),
        reward=rng.standard_normal(N),
        context_reward=rng.standard_normal(N),
        next_observation=rng.standard_normal((N, 3)),
        terminated=(rng.random(N) < 0.3).astype(np.float32),
    )
