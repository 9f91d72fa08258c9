"""Three updates on a fixed batch in float64, against numbers kept in golden.json.

A difference is a change of the mathematics: mean it, say so, and rewrite the numbers with
``pytest tests/algos/test_golden.py --update-golden``.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from family_fakes import FAMILY_CASES, after_three_family_updates
from golden_pearl import PEARL_CASES, after_three_pearl_updates
from golden_q import PQN_CASES, Q_CASES, after_three_pqn_updates, after_three_q_updates
from golden_qpg import QPG_CASES, after_three_qpg_updates
from gymnasium import spaces
from toy_envs import ACTIONS, CPU, golden_numbers

from rlpyt.agents.pg import AgentInfo, PgAgent
from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.daac import DAAC
from rlpyt.algos.pg.drac import DrAC
from rlpyt.algos.pg.impala import IMPALA
from rlpyt.algos.pg.ppg import PPG
from rlpyt.algos.pg.ppo import PPO
from rlpyt.augment.vectors import GaussianNoise
from rlpyt.data import BatchSpec, EnvSpaces, Samples
from rlpyt.envs.spaces import example_of
from rlpyt.models.decoupled import DecoupledPgModel
from rlpyt.models.pg import PgModel
from rlpyt.utils.buffer import buffer_from_example, buffer_map, leaves

GOLDEN = Path(__file__).with_name("golden.json")
T, B = 7, 4
OBSERVATION = spaces.Box(-np.inf, np.inf, (5,), np.float32)
MODEL = {"hidden_sizes": (8, 8)}
LSTM = {"recurrent": "lstm", "rnn_size": 6, "hidden_sizes": (8,)}
GRU = {"recurrent": "gru", "rnn_size": 6, "hidden_sizes": (8,)}
RATES = {"learning_rate": 0.01, "learning_rate_schedule": "linear"}
PPO_OPTIONS = {"epochs": 2, "minibatches": 3, "ratio_clip": 0.25, **RATES}
PG_CASES = {
    "a2c discrete": (A2C(**RATES), "discrete", MODEL, False),
    "a2c box normalized": (A2C(normalize_advantage=True, **RATES), "box", MODEL, True),
    "a2c dict lstm": (A2C(gae_lambda=0.9, **RATES), "dict", LSTM, False),
    "appo box": (APPO(value_clip=0.25, **PPO_OPTIONS), "box", MODEL, True),
    "appo dict lstm": (APPO(rho_clip=1.5, c_clip=1.1, **PPO_OPTIONS), "dict", LSTM, False),
    "impala discrete": (IMPALA(**RATES), "discrete", MODEL, True),
    "impala box lambda": (IMPALA(vtrace_lambda=0.9, pg_rho_clip=1.4, **RATES), "box", MODEL, False),
    "impala multi_discrete lstm": (
        IMPALA(rho_clip=1.5, c_clip=0.9, **RATES),
        "multi_discrete",
        LSTM,
        True,
    ),
    "daac discrete": (
        DAAC(value_epochs=2, **{**PPO_OPTIONS, "epochs": 1}),
        "discrete",
        {**MODEL, "auxiliary": "advantage"},
        True,
    ),
    "drdaac dict": (
        DAAC(value_epochs=2, value_interval=2, augmentation=GaussianNoise(), **PPO_OPTIONS),
        "dict",
        {**MODEL, "auxiliary": "advantage"},
        False,
    ),
    "drac box": (DrAC(augmentation=GaussianNoise(), **PPO_OPTIONS), "box", MODEL, True),
    "drac discrete gru": (DrAC(augmentation=GaussianNoise(), **PPO_OPTIONS), "discrete", GRU, True),
    "ppg box": (
        PPG(policy_iterations=3, auxiliary_epochs=2, auxiliary_minibatches=3, **PPO_OPTIONS),
        "box",
        {**MODEL, "auxiliary": "value"},
        True,
    ),
    "ppg multi_discrete": (
        PPG(policy_iterations=2, auxiliary_epochs=1, auxiliary_minibatches=4, **PPO_OPTIONS),
        "multi_discrete",
        {**MODEL, "auxiliary": "value"},
        False,
    ),
    "ppo discrete": (PPO(**PPO_OPTIONS), "discrete", MODEL, False),
    "ppo box clipped value": (PPO(value_clip=0.25, **PPO_OPTIONS), "box", MODEL, False),
    "ppo dict": (PPO(ratio_clip_schedule="linear", **PPO_OPTIONS), "dict", MODEL, True),
    "ppo multi_discrete lstm": (
        PPO(normalize_advantage="batch", **PPO_OPTIONS),
        "multi_discrete",
        LSTM,
        False,
    ),
    "ppo multi_binary gru": (PPO(**PPO_OPTIONS), "multi_binary", GRU, True),
}


def fixed_batch(agent, action_space, masked):
    """Samples from numpy alone: what was recorded is near no policy, so that ratios differ from
    1.
    """
    rng = np.random.default_rng(2024)

    def normal(*shape):
        return torch.tensor(rng.standard_normal((T, B, *shape)))

    def choose(leaf):
        if leaf.dtype.is_floating_point:
            return normal(*leaf.shape[2:])
        return torch.tensor(rng.integers(0, 2, leaf.shape)).to(leaf.dtype)

    def action():
        return buffer_map(choose, buffer_from_example(example_of(action_space), (T, B)))

    terminated, truncated = (torch.tensor(rng.random((T, B)) < 0.15) for _ in range(2))
    done = terminated | truncated
    state = agent.initial_state(B)
    info = AgentInfo(
        agent.distribution.dist_info(0.3 * normal(agent.distribution.param_size)),
        normal(),
        buffer_map(lambda leaf: 0.3 * normal(*leaf.shape[1:]), state) if len(state) else None,
    )
    return Samples(
        observation=normal(*OBSERVATION.shape),
        prev_action=action(),
        prev_reward=normal(),
        reset=torch.cat([torch.tensor([[True, False, False, True]]), done[:-1]]),
        action=action(),
        agent_info=info,
        reward=normal(),
        terminated=terminated,
        truncated=truncated,
        bootstrap_value=normal(),
        valid=torch.tensor(rng.random((T, B)) < 0.8) if masked else None,
    )


def after_three_updates(algo, action, model_kwargs, masked):
    """The numbers of a policy-gradient algorithm."""
    is_decoupled = "auxiliary" in model_kwargs
    ModelCls = DecoupledPgModel if is_decoupled else PgModel
    agent = PgAgent(ModelCls=ModelCls, model_kwargs=model_kwargs)
    agent.initialize(EnvSpaces(OBSERVATION, ACTIONS[action]), seed=0, device=CPU)
    agent.model.double()
    rng = np.random.default_rng(7)  # not orthogonal: a decomposition's signs are the library's
    for parameter in agent.model.parameters():
        parameter.data = torch.tensor(0.4 * rng.standard_normal(parameter.shape))
    algo.initialize(agent, n_itr=5, batch_spec=BatchSpec(T, B), seed=3)
    samples = fixed_batch(agent, ACTIONS[action], masked)
    for itr in range(3):
        opt_info = algo.optimize_agent(itr, samples)
    assert all(leaf.dtype == torch.float64 for leaf in leaves(samples.agent_info))
    return golden_numbers(agent, opt_info)


CASES = {
    **{name: partial(after_three_updates, *case) for name, case in PG_CASES.items()},
    **{name: partial(after_three_q_updates, *case) for name, case in Q_CASES.items()},
    **{name: partial(after_three_pqn_updates, model) for name, model in PQN_CASES.items()},
    **{name: partial(after_three_qpg_updates, *case) for name, case in QPG_CASES.items()},
    **{name: partial(after_three_family_updates, *case) for name, case in FAMILY_CASES.items()},
    **{name: partial(after_three_pearl_updates, *case) for name, case in PEARL_CASES.items()},
}


@pytest.mark.parametrize("case", CASES)
def test_three_updates_end_at_the_golden_numbers(case, request):
    found = CASES[case]()
    if request.config.getoption("update_golden"):
        kept = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
        kept = {name: kept[name] for name in CASES if name in kept} | {case: found}
        GOLDEN.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        return
    golden = json.loads(GOLDEN.read_text())[case]
    for kind, numbers in golden.items():
        assert found[kind] == pytest.approx(numbers, rel=1e-9, abs=1e-9), kind


def test_every_golden_number_has_its_case():
    assert sorted(json.loads(GOLDEN.read_text())) == sorted(CASES)
