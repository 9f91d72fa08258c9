"""Samplers: agent and environments in, batches of samples [T, B] out."""

from rlpyt.samplers.alternating import AlternatingSampler
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.collector import Collector
from rlpyt.samplers.cpu import CpuSampler
from rlpyt.samplers.gpu import GpuSampler
from rlpyt.samplers.serial import SerialSampler

__all__ = [
    "AlternatingSampler",
    "BaseSampler",
    "Collector",
    "CpuSampler",
    "GpuSampler",
    "SerialSampler",
]
