"""Algorithms: one file each, in the folder of its family."""

from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.dqn import DQN, IQN, NGU, PQN, QRDQN, R2D1, Agent57, CategoricalDQN
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.meta import PEARL
from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.pg import A2C, APPO, DAAC, IMPALA, PPG, PPO, DrAC
from rlpyt.algos.qpg import DDPG, REDQ, SAC, TD3, TQC, CrossQ, DiscreteSAC, DrQV2, Temperature
from rlpyt.algos.schedule import Schedule, scheduled

__all__ = [
    "A2C",
    "APPO",
    "DAAC",
    "DDPG",
    "DQN",
    "IMPALA",
    "IQN",
    "NGU",
    "PEARL",
    "PPG",
    "PPO",
    "PQN",
    "QRDQN",
    "R2D1",
    "REDQ",
    "SAC",
    "TD3",
    "TQC",
    "Agent57",
    "CategoricalDQN",
    "CrossQ",
    "DiscreteSAC",
    "DrAC",
    "DrQV2",
    "GradientStep",
    "IntrinsicRewards",
    "RlAlgorithm",
    "Schedule",
    "Temperature",
    "scheduled",
]
