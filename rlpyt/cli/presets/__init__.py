"""Defaults of ``rlpyt train``: a runner for an algorithm and an environment, chosen from the
environment's spaces.

Three kinds of environment: ``image`` (an observation with rows and columns), ``continuous`` (a Box
action), ``discrete`` (everything else). Each gets the settings that published results for its kind
use; any of them can be overridden.
"""

from rlpyt.cli.presets.kinds import Kind, Recurrent, kind_of
from rlpyt.cli.presets.registry import ALGORITHMS, check_algorithm, default_runner

__all__ = ["ALGORITHMS", "Kind", "Recurrent", "check_algorithm", "default_runner", "kind_of"]
