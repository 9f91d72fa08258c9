"""Policy gradients through critics: DDPG, TD3, SAC."""

from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.algos.qpg.ddpg import DDPG
from rlpyt.algos.qpg.sac import SAC
from rlpyt.algos.qpg.td3 import TD3

__all__ = ["DDPG", "SAC", "TD3", "QpgAlgorithm"]
