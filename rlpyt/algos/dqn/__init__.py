"""Q-learning: DQN and its family."""

from rlpyt.algos.dqn.base import QAlgorithm, QInfo
from rlpyt.algos.dqn.categorical import CategoricalDQN, categorical_losses
from rlpyt.algos.dqn.dqn import DQN, dqn_losses
from rlpyt.algos.dqn.pqn import PQN, pqn_loss
from rlpyt.algos.dqn.quantile import IQN, QRDQN, quantile_losses
from rlpyt.algos.dqn.r2d1 import R2D1, r2d1_losses

__all__ = [
    "DQN",
    "IQN",
    "PQN",
    "QRDQN",
    "R2D1",
    "CategoricalDQN",
    "QAlgorithm",
    "QInfo",
    "categorical_losses",
    "dqn_losses",
    "pqn_loss",
    "quantile_losses",
    "r2d1_losses",
]
