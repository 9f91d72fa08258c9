"""Environments: Gymnasium's, stepped as a vector behind one protocol, checked where they enter."""

from rlpyt.envs.atari import AtariConfig, AtariTrajInfo
from rlpyt.envs.atari_vector import AtariVectorEnv
from rlpyt.envs.build import EnvConfig, build_env, build_vector_env, peek_spaces
from rlpyt.envs.check import check_env
from rlpyt.envs.check_report import EnvReport, Finding, print_report
from rlpyt.envs.classic import masked_velocity_cartpole
from rlpyt.envs.gym import env_name, make_env
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.memory_corridor import MemoryCorridor
from rlpyt.envs.native import NativeVectorEnv
from rlpyt.envs.spaces import (
    action_from_tree,
    example_of,
    space_children,
    space_items,
    tree_class,
)
from rlpyt.envs.vector import StatefulEnv, VectorEnv

__all__ = [
    "AtariConfig",
    "AtariTrajInfo",
    "AtariVectorEnv",
    "EnvConfig",
    "EnvReport",
    "Finding",
    "LoopVectorEnv",
    "MemoryCorridor",
    "NativeVectorEnv",
    "StatefulEnv",
    "VectorEnv",
    "action_from_tree",
    "build_env",
    "build_vector_env",
    "check_env",
    "env_name",
    "example_of",
    "make_env",
    "masked_velocity_cartpole",
    "peek_spaces",
    "print_report",
    "space_children",
    "space_items",
    "tree_class",
]
