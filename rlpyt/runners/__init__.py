"""Runners own the loop: sample, learn, log, save."""

from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.init_from import InitFrom
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.runners.sync_rl import SyncRl

__all__ = ["AsyncRl", "Evaluator", "InitFrom", "MinibatchRl", "SyncRl"]
