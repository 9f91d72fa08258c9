"""Three updates of each Q-learning algorithm on a fixed replay, for the golden numbers."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from toy_envs import CPU, golden_numbers

from rlpyt.agents.dqn import DqnAgent, DqnAgentInfo
from rlpyt.algos.dqn import DQN, IQN, PQN, QRDQN, R2D1, CategoricalDQN, QAlgorithm
from rlpyt.data import BatchSpec, EnvSpaces, Samples
from rlpyt.ops.categorical import categorical_support
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.collections import namedarraytuple

T, B = 16, 4
VECTOR = spaces.Box(-np.inf, np.inf, (5,), np.float32)
# In a dict, a model casts the numbers to its own dtype.
SPACES = EnvSpaces(spaces.Dict(vector=VECTOR), spaces.Discrete(3))
Observation = namedarraytuple("Observation", ["vector"])

COMMON: dict[str, Any] = {
    "discount": 0.9,
    "batch_size": 16,
    "min_steps_learn": T * B,
    "replay_ratio": 3 * 16 / (T * B),  # three updates
    "learning_rate": 0.01,
    "clip_grad_norm": 1.0,
    "target_update_interval": 2,
    "target_update_tau": 0.75,
}
N_STEP: dict[str, Any] = {"size": 200, "n_step_return": 3}
SEQUENCES = {**N_STEP, "sequence_length": 4, "burn_in": 2, "rnn_state_interval": 2}
PRIORITIZED = {"prioritized": Prioritized(alpha=0.9, beta=0.6)}


def of(**replay: Any) -> dict[str, Any]:
    """Settings with a replay of its own."""
    return {**COMMON, "replay": ReplayBuffer(**{"size": 200, **replay})}


def r2d1(**kwargs: Any) -> R2D1:
    settings = {**of(**SEQUENCES, **PRIORITIZED), "replay_ratio": 3 * 16 * 4 / (T * B)}
    return R2D1(**{**settings, **kwargs})


Q_CASES: dict[str, tuple[QAlgorithm, dict[str, Any]]] = {
    "dqn huber": (DQN(**of()), {}),
    "dqn square": (DQN(delta_clip=None, **of()), {}),
    "dqn double": (DQN(double=True, **of()), {}),
    "dqn dueling n-step": (DQN(**of(**N_STEP)), {"dueling": True}),
    "dqn prioritized": (DQN(double=True, **of(**PRIORITIZED)), {}),
    "c51": (CategoricalDQN(**of()), {"head": "categorical"}),
    "rainbow": (
        CategoricalDQN(double=True, **of(**N_STEP, **PRIORITIZED)),
        {"head": "categorical", "dueling": True, "noisy": True},
    ),
    "qr": (QRDQN(**of()), {"head": "quantile"}),
    "iqn": (IQN(n_fractions=6, n_target_fractions=7, **of()), {"head": "implicit"}),
    "r2d1 lstm": (r2d1(), {"recurrent": "lstm"}),
    "r2d1 gru dueling": (r2d1(double=False), {"recurrent": "gru", "dueling": True}),
}
PQN_CASES: dict[str, dict[str, Any]] = {
    "pqn": {},
    "pqn lstm dueling": {"recurrent": "lstm", "dueling": True},
}
SIZES = {"hidden_sizes": (8,), "n_atoms": 11, "n_quantiles": 8, "rnn_size": 6, "n_cosines": 5}


def fixed_samples(agent: DqnAgent) -> Samples:
    """Samples from numpy alone; episodes end in either way."""
    rng = np.random.default_rng(2025)

    def normal(*shape: int) -> Any:
        return torch.tensor(rng.standard_normal((T, B, *shape)))

    def observation() -> Any:
        return Observation(normal(*VECTOR.shape).float())

    action = torch.tensor(rng.integers(0, 3, (T + 1, B)))
    reward = torch.tensor(rng.standard_normal((T + 1, B))).float()
    terminated, truncated = (torch.tensor(rng.random((T, B)) < 0.1) for _ in range(2))
    done = terminated | truncated
    reset = torch.cat([torch.ones(1, B, dtype=torch.bool), done[:-1]])

    def recorded(leaf: Any) -> Any:
        state = 0.3 * normal(*leaf.shape[1:])
        state[reset] = 0.0
        return state

    return Samples(
        observation=observation(),
        prev_action=action[:-1],
        prev_reward=reward[:-1],
        reset=reset,
        action=action[1:],
        agent_info=DqnAgentInfo(
            buffer_map(recorded, agent.initial_state(B)) if agent.recurrent else None
        ),
        reward=reward[1:],
        terminated=terminated,
        truncated=truncated,
        final_observation=observation(),
    )


def fixed_agent(model_kwargs: dict[str, Any], rng: np.random.Generator) -> DqnAgent:
    """With parameters from numpy alone."""
    agent = DqnAgent(model_kwargs={**SIZES, **model_kwargs})
    agent.initialize(SPACES, seed=0, device=CPU)
    agent.model.double()
    for parameter in agent.model.parameters():
        parameter.data = torch.tensor(0.4 * rng.standard_normal(parameter.shape))
    return agent


def after_three_pqn_updates(model_kwargs: dict[str, Any]) -> dict[str, Any]:
    """The numbers of PQN: one batch, three epochs of one step."""
    rng = np.random.default_rng(7)
    agent = fixed_agent({"layer_norm": True, **model_kwargs}, rng)
    algo = PQN(discount=0.9, learning_rate=0.01, epochs=3, minibatches=1, clip_grad_norm=1.0)
    algo.initialize(agent, n_itr=1, batch_spec=BatchSpec(T, B), seed=3)
    samples = fixed_samples(agent)._replace(
        bootstrap_value=torch.tensor(rng.standard_normal((T, B))),
        valid=torch.tensor(rng.random((T, B)) < 0.8),
    )
    opt_info = algo.optimize_agent(0, samples)
    assert len(opt_info["loss"]) == 3
    return golden_numbers(agent, opt_info)


def after_three_q_updates(algo: QAlgorithm, model_kwargs: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a Q-learning algorithm."""
    rng = np.random.default_rng(7)
    agent = fixed_agent(model_kwargs, rng)
    if agent.support is not None:
        agent.support = categorical_support(-4.0, 4.0, len(agent.support), torch.float64)
    algo.initialize(agent, n_itr=1, batch_spec=BatchSpec(T, B), seed=3)
    for parameter in algo.target.parameters():  # else double Q-learning would choose the same
        parameter.add_(torch.tensor(0.2 * rng.standard_normal(parameter.shape)))
    opt_info = algo.optimize_agent(0, fixed_samples(agent))
    assert len(opt_info["loss"]) == 3
    return golden_numbers(agent, opt_info)
