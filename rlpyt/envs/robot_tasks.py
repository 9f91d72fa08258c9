"""The families of tasks that meta-learning is measured on, each a robot, its tasks and its reward.

Rewards, observations and ends are those of PEARL's release (Rakelly et al. 2019, arXiv:1903.08254),
on the models of today's Gymnasium.
"""

import math
from typing import Any

import numpy as np

from rlpyt.envs.robots import Move, Robot, TaskFamily
from rlpyt.envs.tasks import Task

__all__ = [
    "ANT_DIRECTION",
    "ANT_FORWARD_BACKWARD",
    "ANT_GOAL",
    "CHEETAH_DIRECTION",
    "CHEETAH_VELOCITY",
    "HOPPER_FORWARD",
    "HUMANOID_DIRECTION",
    "WALKER_FORWARD",
]

_TORSO = 1  # the body after the world, in every one of the models
_MAX_VELOCITY = 3.0  # m/s
_MAX_DISTANCE = 3.0  # m, of a goal
_MAX_IMPACT = 10.0

# --- how each robot is seen ----------------------------------------------------------------------


def _x(_model: Any, data: Any) -> float:
    return float(data.qpos[0])


def _torso_xy(_model: Any, data: Any) -> Any:
    return data.xpos[_TORSO, :2].copy()


def _centre_of_mass_xy(model: Any, data: Any) -> Any:
    mass = model.body_mass
    return mass @ data.xipos[:, :2] / mass.sum()


def _cheetah_sees(data: Any) -> Any:
    return np.concatenate((data.qpos[1:], data.qvel, data.xpos[_TORSO]))


def _ant_sees(data: Any) -> Any:
    return np.concatenate((data.qpos[2:], data.qvel))


def _ant_sees_contacts(data: Any) -> Any:
    return np.concatenate((data.qpos, data.qvel, _clipped_contacts(data).reshape(-1)))


def _humanoid_sees(data: Any) -> Any:
    bodies = [array.reshape(-1) for array in (data.cinert, data.cvel)]
    forces = (data.qfrc_actuator, data.cfrc_ext.reshape(-1))
    return np.concatenate((data.qpos[2:], data.qvel, *bodies, *forces))


def _biped_sees(data: Any) -> Any:
    return np.concatenate((data.qpos[1:], np.minimum(np.maximum(data.qvel, -10.0), 10.0)))


def _clipped_contacts(data: Any) -> Any:
    return np.minimum(np.maximum(data.cfrc_ext, -1.0), 1.0)


def _never(_data: Any) -> bool:
    return False


def _ant_fell(data: Any) -> bool:
    finite = np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()
    return not (finite and 0.2 <= data.qpos[2] <= 1.0)


def _humanoid_fell(data: Any) -> bool:
    return not 1.0 <= data.qpos[2] <= 2.0


def _hopper_fell(data: Any) -> bool:
    x, z, angle = data.qpos[:3].tolist()
    if not (math.isfinite(x) and 0.7 < z < math.inf and abs(angle) < 0.2):
        return True
    return not ((np.abs(data.qpos[3:]) < 100).all() and (np.abs(data.qvel) < 100).all())


def _walker_fell(data: Any) -> bool:
    z, angle = data.qpos[1:3].tolist()
    return not (0.8 < z < 2.0 and -1.0 < angle < 1.0)


# --- what each family pays -----------------------------------------------------------------------


def _squares(array: Any) -> float:
    return float(np.vdot(array, array))


def _direction(task: Task, move: Move) -> float:
    """The way along the task's direction, in metres."""
    x, y = (move.after - move.before).tolist()
    angle = task["angle"]
    return float(x * math.cos(angle) + y * math.sin(angle))


def _velocity_reward(task: Task, move: Move) -> dict[str, float]:
    velocity = (move.after - move.before) / move.seconds
    run = -abs(velocity - task["velocity"])
    return {"reward_run": run, "reward_ctrl": -0.05 * _squares(move.action)}


def _two_ways_reward(task: Task, move: Move) -> dict[str, float]:
    run = task["direction"] * (move.after - move.before) / move.seconds
    return {"reward_run": run, "reward_ctrl": -0.05 * _squares(move.action)}


def _ant_direction_reward(task: Task, move: Move) -> dict[str, float]:
    return {
        "reward_run": _direction(task, move) / move.seconds,
        "reward_ctrl": -0.5 * _squares(move.action),
        "reward_contact": -5e-4 * _squares(_clipped_contacts(move.data)),
        "reward_survive": 1.0,
    }


def _ant_goal_reward(task: Task, move: Move) -> dict[str, float]:
    return {
        "reward_goal": -float(np.abs(move.after - task["goal"]).sum()),
        "reward_ctrl": -0.1 * _squares(move.action),
        "reward_contact": -5e-4 * _squares(_clipped_contacts(move.data)),
    }


def _humanoid_reward(task: Task, move: Move) -> dict[str, float]:
    impact = 0.5e-6 * _squares(move.data.cfrc_ext)
    return {
        "reward_run": 0.25 * _direction(task, move) / move.model.opt.timestep,
        "reward_ctrl": -0.1 * _squares(move.data.ctrl),
        "reward_contact": -min(impact, _MAX_IMPACT),
        "reward_survive": 5.0,
    }


def _forward_reward(_task: Task, move: Move) -> dict[str, float]:
    return {
        "reward_run": (move.after - move.before) / move.seconds,
        "reward_ctrl": -1e-3 * _squares(move.action),
        "reward_survive": 1.0,
    }


# --- which tasks there are -----------------------------------------------------------------------


def _sample_velocities(n: int, rng: np.random.Generator) -> list[Task]:
    return [{"velocity": velocity} for velocity in rng.uniform(0.0, _MAX_VELOCITY, n).tolist()]


def _sample_angles(n: int, rng: np.random.Generator) -> list[Task]:
    return [{"angle": angle} for angle in rng.uniform(0.0, 2 * np.pi, n).tolist()]


def _sample_goals(n: int, rng: np.random.Generator) -> list[Task]:
    angle = rng.uniform(0.0, 2 * np.pi, n)
    distance = _MAX_DISTANCE * np.sqrt(rng.uniform(0.0, 1.0, n))
    goals = np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=-1)
    return [{"goal": goal.copy()} for goal in goals]


def _sample_two_ways(n: int, rng: np.random.Generator) -> list[Task]:
    return [{"direction": (1.0, -1.0)[way]} for way in _both(n, rng)]


def _sample_two_angles(n: int, rng: np.random.Generator) -> list[Task]:
    return [{"angle": (0.0, math.pi)[way]} for way in _both(n, rng)]


def _both(n: int, rng: np.random.Generator) -> list[int]:
    """0 and 1 in random order, again and again: two tasks drawn together are both."""
    ways: list[int] = []
    while len(ways) < n:
        ways += rng.permutation(2).tolist()
    return ways[:n]


def _sample_nothing(n: int, _rng: np.random.Generator) -> list[Task]:
    return [{} for _ in range(n)]


# --- the families --------------------------------------------------------------------------------

_CHEETAH = Robot(id="HalfCheetah-v5", place=_x, observe=_cheetah_sees, terminated=_never)
_ANT = Robot(id="Ant-v5", place=_torso_xy, observe=_ant_sees, terminated=_ant_fell)
_ANT_WITH_CONTACTS = Robot(
    id="Ant-v5", place=_torso_xy, observe=_ant_sees_contacts, terminated=_never
)
_HUMANOID = Robot(
    id="Humanoid-v5", place=_centre_of_mass_xy, observe=_humanoid_sees, terminated=_humanoid_fell
)
_HOPPER = Robot(id="Hopper-v5", place=_x, observe=_biped_sees, terminated=_hopper_fell)
_WALKER = Robot(id="Walker2d-v5", place=_x, observe=_biped_sees, terminated=_walker_fell)

CHEETAH_VELOCITY = TaskFamily(
    robot=_CHEETAH,
    default={"velocity": 1.5},
    sample=_sample_velocities,
    reward=_velocity_reward,
)
"""See :func:`rlpyt.envs.meta.cheetah_vel`."""

CHEETAH_DIRECTION = TaskFamily(
    robot=_CHEETAH,
    default={"direction": 1.0},
    sample=_sample_two_ways,
    reward=_two_ways_reward,
)
"""See :func:`rlpyt.envs.meta.cheetah_dir`."""

ANT_DIRECTION = TaskFamily(
    robot=_ANT, default={"angle": 0.0}, sample=_sample_angles, reward=_ant_direction_reward
)
"""See :func:`rlpyt.envs.meta.ant_dir`."""

ANT_FORWARD_BACKWARD = TaskFamily(
    robot=_ANT, default={"angle": 0.0}, sample=_sample_two_angles, reward=_ant_direction_reward
)
"""See :func:`rlpyt.envs.meta.ant_dir`."""

ANT_GOAL = TaskFamily(
    robot=_ANT_WITH_CONTACTS,
    default={"goal": np.array([_MAX_DISTANCE, 0.0])},
    sample=_sample_goals,
    reward=_ant_goal_reward,
)
"""See :func:`rlpyt.envs.meta.ant_goal`."""

HUMANOID_DIRECTION = TaskFamily(
    robot=_HUMANOID, default={"angle": 0.0}, sample=_sample_angles, reward=_humanoid_reward
)
"""See :func:`rlpyt.envs.meta.humanoid_dir`."""

HOPPER_FORWARD = TaskFamily(
    robot=_HOPPER, default={}, sample=_sample_nothing, reward=_forward_reward
)
"""See :func:`rlpyt.envs.meta.hopper_rand_params`."""

WALKER_FORWARD = TaskFamily(
    robot=_WALKER, default={}, sample=_sample_nothing, reward=_forward_reward
)
"""See :func:`rlpyt.envs.meta.walker_rand_params`."""
