"""Algorithms: one file each, in the folder of its family."""

from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.dqn import DQN, IQN, PQN, QRDQN, R2D1, CategoricalDQN
from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.pg import A2C, PPO
from rlpyt.algos.qpg import DDPG, SAC, TD3
from rlpyt.algos.schedule import Schedule, scheduled

__all__ = [
    "A2C",
    "DDPG",
    "DQN",
    "IQN",
    "PPO",
    "PQN",
    "QRDQN",
    "R2D1",
    "SAC",
    "TD3",
    "CategoricalDQN",
    "GradientStep",
    "RlAlgorithm",
    "Schedule",
    "scheduled",
]
