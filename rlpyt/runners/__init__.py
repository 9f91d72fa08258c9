"""Runners own the loop: sample, learn, log, save."""

from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl

__all__ = ["Evaluator", "MinibatchRl"]
