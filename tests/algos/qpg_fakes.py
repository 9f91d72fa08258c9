"""Every off-policy actor-critic, with a task that each can learn in seconds."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.agents.qpg import QpgAgent
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.algos.optimizer import Compile
from rlpyt.algos.qpg import (
    DDPG,
    REDQ,
    SAC,
    TD3,
    TQC,
    CrossQ,
    DiscreteSAC,
    QpgAlgorithm,
    Temperature,
)
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler


class Meet(gymnasium.Env):
    """Be where the observation says: the reward is minus the squared distance, four times.

    With ``discrete`` only five places can be chosen; with ``recall`` only the first observation
    says where to be, now and for the rest of the episode.
    """

    def __init__(self, discrete: bool = False, recall: bool = False) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Box(-1.0, 3.0, (1,), np.float32)  # its centre is not 0
        self.discrete, self.recall = discrete, recall
        if discrete:
            self.action_space = spaces.Discrete(5)

    def _observe(self) -> Any:
        if self.recall and self.t:
            return np.zeros(1, np.float32)
        self.x = self.np_random.uniform(-1.0, 1.0, 1).astype(np.float32)
        if self.discrete:
            self.x = np.round(2 * self.x) / 2
        return self.x

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        place = action / 2 - 1.0 if self.discrete else action - 1.0
        reward = -float((place - self.x).item() ** 2)
        self.t += 1
        return self._observe(), reward, self.t == 4, False, {}


def meet_discrete() -> gymnasium.Env:
    return Meet(discrete=True)


def meet_recall() -> gymnasium.Env:
    return Meet(recall=True)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One algorithm on its task."""

    cls: type[QpgAlgorithm]
    env: Any = Meet
    algo: dict[str, Any] = field(default_factory=dict)
    critic: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    replay: dict[str, Any] = field(default_factory=dict)
    exploration: dict[str, Any] = field(default_factory=lambda: {"random_steps": 200})

    def runner(
        self,
        n_steps: int = 3_000,
        nonlinearity: str = "relu",
        compiled: Compile = False,
        **replay: Any,
    ) -> MinibatchRl:
        """A small run of four environments."""
        algo = self.cls(
            **{
                "discount": 0.9,
                "replay": ReplayBuffer(size=5_000, **{**self.replay, **replay}),
                "batch_size": 32,
                "min_steps_learn": 200,
                "replay_ratio": 16.0,
                "learning_rate": 3e-3,
                "critic_kwargs": {
                    "hidden_sizes": (32, 32),
                    "nonlinearity": nonlinearity,
                    **self.critic,
                },
                "target_update_tau": 0.05,
                "compile": compiled,
                **deepcopy(self.algo),  # a temperature has a state
            }
        )
        agent = QpgAgent(
            policy=self.cls.policy,
            model_kwargs={"hidden_sizes": (32,), "nonlinearity": nonlinearity, **self.model},
            exploration=QpgExploration(**self.exploration),
        )
        sampler = SerialSampler(env=self.env, batch_T=4, batch_B=4)
        return MinibatchRl(algo=algo, agent=agent, sampler=sampler, n_steps=n_steps, device="cpu")


MEMORY = {"recurrent": "gru", "rnn_size": 16}
SEQUENCES = {"sequence_length": 4, "burn_in": 2, "rnn_state_interval": 2}
RECURRENT: dict[str, Any] = {
    "env": meet_recall,
    "critic": MEMORY,
    "model": MEMORY,
    "replay": SEQUENCES,
    "algo": {"batch_size": 16, "replay_ratio": 16.0},
}
COLD = {"temperature": Temperature(initial=0.05)}

CASES = {
    "ddpg": Case(cls=DDPG),
    "td3": Case(cls=TD3),
    "sac": Case(cls=SAC),
    "discrete sac": Case(
        cls=DiscreteSAC,
        env=meet_discrete,
        algo={"temperature": Temperature(target_entropy=0.1)},
    ),
    "redq": Case(cls=REDQ, algo={"n_critics": 5, "policy_delay": 2}),
    "crossq": Case(
        cls=CrossQ, critic={"hidden_sizes": (64, 64)}, model={"batch_renorm": True}, algo=COLD
    ),
    "tqc": Case(cls=TQC, algo={"n_critics": 2}, critic={"n_outputs": 5}),
    "ddpg recurrent": Case(cls=DDPG, **RECURRENT),
    "td3 recurrent": Case(cls=TD3, **RECURRENT),
    "sac recurrent": Case(cls=SAC, **RECURRENT),
}
