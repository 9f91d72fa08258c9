"""Samplers: agent and environments in, batches of samples [T, B] out."""

from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.collector import Collector
from rlpyt.samplers.serial import SerialSampler

__all__ = ["BaseSampler", "Collector", "SerialSampler"]
