"""Q-learning: DQN and its family."""

from rlpyt.algos.dqn.agent57 import Agent57, agent57_losses
from rlpyt.algos.dqn.base import QAlgorithm, QInfo
from rlpyt.algos.dqn.categorical import CategoricalDQN, categorical_losses
from rlpyt.algos.dqn.dqn import DQN, dqn_losses
from rlpyt.algos.dqn.family import FamilyAlgorithm
from rlpyt.algos.dqn.ngu import NGU
from rlpyt.algos.dqn.pqn import PQN, pqn_loss
from rlpyt.algos.dqn.quantile import IQN, QRDQN, quantile_losses
from rlpyt.algos.dqn.r2d1 import R2D1, r2d1_losses

__all__ = [
    "DQN",
    "IQN",
    "NGU",
    "PQN",
    "QRDQN",
    "R2D1",
    "Agent57",
    "CategoricalDQN",
    "FamilyAlgorithm",
    "QAlgorithm",
    "QInfo",
    "agent57_losses",
    "categorical_losses",
    "dqn_losses",
    "pqn_loss",
    "quantile_losses",
    "r2d1_losses",
]
