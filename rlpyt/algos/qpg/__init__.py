"""Policy gradients through critics: DDPG, TD3, SAC and its kin."""

from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.algos.qpg.crossq import CrossQ
from rlpyt.algos.qpg.ddpg import DDPG
from rlpyt.algos.qpg.discrete_sac import DiscreteSAC
from rlpyt.algos.qpg.drqv2 import DrQV2
from rlpyt.algos.qpg.redq import REDQ
from rlpyt.algos.qpg.sac import SAC
from rlpyt.algos.qpg.td3 import TD3
from rlpyt.algos.qpg.temperature import Temperature
from rlpyt.algos.qpg.tqc import TQC

__all__ = [
    "DDPG",
    "REDQ",
    "SAC",
    "TD3",
    "TQC",
    "CrossQ",
    "DiscreteSAC",
    "DrQV2",
    "QpgAlgorithm",
    "Temperature",
]
