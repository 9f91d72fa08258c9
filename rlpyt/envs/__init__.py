"""Environments: Gymnasium's, stepped as a vector behind one protocol, checked where they enter."""

from rlpyt.envs.atari import AtariConfig, AtariTrajInfo
from rlpyt.envs.atari_vector import AtariVectorEnv
from rlpyt.envs.build import EnvConfig, build_env, build_vector_env, peek_spaces
from rlpyt.envs.check import check_env
from rlpyt.envs.check_report import EnvReport, Finding, print_report
from rlpyt.envs.classic import masked_velocity_cartpole
from rlpyt.envs.context_trials import ContextTrials, Draw, Phase
from rlpyt.envs.dm_control_pixels import DmControlPixels
from rlpyt.envs.four_rooms import FOUR_ROOMS_INFO_KEYS, FourRooms, FourRoomsTrajInfo
from rlpyt.envs.gym import env_name, make_env
from rlpyt.envs.key_door import KeyDoorGrid
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.memory_corridor import MemoryCorridor
from rlpyt.envs.native import NativeVectorEnv
from rlpyt.envs.point_robot import PointRobot
from rlpyt.envs.randomized_dynamics import RandomizedDynamics
from rlpyt.envs.robots import Move, Robot, RobotEnv, TaskFamily
from rlpyt.envs.spaces import (
    action_from_tree,
    example_of,
    space_children,
    space_items,
    tree_class,
)
from rlpyt.envs.sparse_chain import SparseChain
from rlpyt.envs.task_split import TaskSplit, task_split
from rlpyt.envs.tasks import (
    Task,
    TaskEnv,
    checked_task,
    find_task_env,
    plain_task,
    same_task,
    task_env,
)
from rlpyt.envs.trials import TRIAL_INFO_KEYS, Trials, TrialTrajInfo
from rlpyt.envs.vector import PlannedEnv, StatefulEnv, VectorEnv

__all__ = [
    "FOUR_ROOMS_INFO_KEYS",
    "TRIAL_INFO_KEYS",
    "AtariConfig",
    "AtariTrajInfo",
    "AtariVectorEnv",
    "ContextTrials",
    "DmControlPixels",
    "Draw",
    "EnvConfig",
    "EnvReport",
    "Finding",
    "FourRooms",
    "FourRoomsTrajInfo",
    "KeyDoorGrid",
    "LoopVectorEnv",
    "MemoryCorridor",
    "Move",
    "NativeVectorEnv",
    "Phase",
    "PlannedEnv",
    "PointRobot",
    "RandomizedDynamics",
    "Robot",
    "RobotEnv",
    "SparseChain",
    "StatefulEnv",
    "Task",
    "TaskEnv",
    "TaskFamily",
    "TaskSplit",
    "TrialTrajInfo",
    "Trials",
    "VectorEnv",
    "action_from_tree",
    "build_env",
    "build_vector_env",
    "check_env",
    "checked_task",
    "env_name",
    "example_of",
    "find_task_env",
    "make_env",
    "masked_velocity_cartpole",
    "peek_spaces",
    "plain_task",
    "print_report",
    "same_task",
    "space_children",
    "space_items",
    "task_env",
    "task_split",
    "tree_class",
]
