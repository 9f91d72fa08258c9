"""Algorithms: one file each, in the folder of its family."""

from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.pg import A2C, PPO

__all__ = ["A2C", "PPO", "RlAlgorithm"]
