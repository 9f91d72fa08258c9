"""Three updates of each off-policy actor-critic on a fixed replay, for the golden numbers."""

from typing import Any

import numpy as np
import torch
from golden_q import (
    COMMON,
    N_STEP,
    PRIORITIZED,
    SEQUENCES,
    VECTOR,
    B,
    Observation,
    T,
    fixed_samples,
)
from gymnasium import spaces
from toy_envs import CPU, golden_numbers

from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.qpg import (
    DDPG,
    REDQ,
    SAC,
    TD3,
    TQC,
    CrossQ,
    DiscreteSAC,
    DrQV2,
    QpgAlgorithm,
)
from rlpyt.augment import GaussianNoise
from rlpyt.data import BatchSpec, EnvSpaces
from rlpyt.replays.replay import ReplayBuffer

BOX = EnvSpaces(spaces.Dict(vector=VECTOR), spaces.Box(-1.0, 1.0, (2,), np.float32))
DISCRETE = EnvSpaces(BOX.observation, spaces.Discrete(3))
assert set(Observation._fields) == set(BOX.observation.spaces)
LSTM = {"recurrent": "lstm", "rnn_size": 6}
GRU = {"recurrent": "gru", "rnn_size": 6}


def of(*, model: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """Settings, with a replay of its own."""
    replay = settings.pop("replay", {})
    sequences = replay.get("sequence_length", 1)
    return {
        **COMMON,
        "critic_kwargs": {"hidden_sizes": (8,), **(model or {})},
        "replay": ReplayBuffer(**{"size": 200, **replay}),
        "replay_ratio": 3 * 16 * sequences / (T * B),
        **settings,
    }


QPG_CASES: dict[str, tuple[QpgAlgorithm, dict[str, Any]]] = {
    "ddpg": (DDPG(policy_learning_rate=0.005, **of()), {}),
    "ddpg lstm": (DDPG(**of(replay=SEQUENCES, model=LSTM)), LSTM),
    "drqv2": (
        DrQV2(augmentation=GaussianNoise(std=0.1), shared_encoder=False, **of(replay=N_STEP)),
        {},
    ),
    "td3 n-step": (TD3(**of(replay=N_STEP)), {}),
    "sac": (SAC(**of()), {}),
    "sac prioritized": (SAC(**of(replay=PRIORITIZED)), {}),
    "sac gru prioritized": (SAC(**of(replay={**SEQUENCES, **PRIORITIZED}, model=GRU)), GRU),
    "sac discrete": (DiscreteSAC(**of()), {}),
    "redq": (REDQ(n_critics=4, **of(policy_delay=2)), {}),
    "crossq": (CrossQ(**of(model={"batch_renorm": True})), {"batch_renorm": True}),
    "tqc": (TQC(n_critics=3, **of(model={"n_outputs": 5})), {}),
}


def after_three_qpg_updates(algo: QpgAlgorithm, model_kwargs: dict[str, Any]) -> dict[str, Any]:
    """The numbers of policy, critics and their targets."""
    rng = np.random.default_rng(7)
    agent = QpgAgent(policy=algo.policy, model_kwargs={"hidden_sizes": (8,), **model_kwargs})
    agent.initialize(DISCRETE if algo.policy == "categorical" else BOX, seed=0, device=CPU)
    filled(agent.model, rng)
    build = algo._build_critic
    algo.__dict__["_build_critic"] = lambda seed: filled(build(seed), rng)
    algo.initialize(agent, n_itr=1, batch_spec=BatchSpec(T, B), seed=3)
    for network in (algo.target.policy, algo.target.critic):
        for parameter in network.parameters():
            if not parameter.requires_grad:  # a copy
                parameter.add_(torch.tensor(0.2 * rng.standard_normal(parameter.shape)))
    samples = fixed_samples(agent)
    if algo.policy != "categorical":
        action = torch.tensor(rng.uniform(-1.0, 1.0, (T + 1, B, 2))).float()
        samples = samples._replace(prev_action=action[:-1], action=action[1:])
    opt_info = algo.optimize_agent(0, samples)
    assert len(opt_info["qLoss"]) == 3
    numbers = golden_numbers(agent, opt_info)
    critics = (algo.online.critic, algo.target.critic)
    sums = [
        sum(p.double().square().sum().item() for p in critic.parameters()) for critic in critics
    ]
    return {**numbers, "critics": sums}


def filled(network: Any, rng: np.random.Generator) -> Any:
    """In float64, with parameters from numpy alone."""
    network.double()
    for parameter in network.parameters():
        parameter.data = torch.tensor(0.4 * rng.standard_normal(parameter.shape))
    return network
