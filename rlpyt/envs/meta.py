"""The environments that meta-reinforcement learning is measured on, each a family of tasks.

They are those of PEARL (Rakelly et al. 2019, arXiv:1903.08254), as its authors released them, on
today's Gymnasium and ``mujoco`` (``pip install "rlpyt[mujoco]"``; the point robots need nothing).
Samplers and commands take them by name: ``env="rlpyt.envs.meta:cheetah_vel"``.

Every function takes the task to start with, as ``sample_tasks`` or JSON has it, and after how many
steps an episode is truncated (``None``: never), and returns a :class:`rlpyt.envs.TaskEnv` in a
``TimeLimit``. Actions are in [-1, 1] and scaled to the actuators. a is the action, x and y are
metres, dt is the time of a step. What differs from the release in all of them: models and initial
noise are those of Gymnasium's ``-v5`` environments, and MuJoCo is today's; contact forces
(``cfrc_ext``) are always computed, where it depended on the version of MuJoCo then; observations
are float64. What else differs is said in each.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.wrappers import TimeLimit

from rlpyt.envs.gym import make_env
from rlpyt.envs.point_robot import PointRobot
from rlpyt.envs.randomized_dynamics import RandomizedDynamics
from rlpyt.envs.robot_tasks import (
    ANT_DIRECTION,
    ANT_FORWARD_BACKWARD,
    ANT_GOAL,
    CHEETAH_DIRECTION,
    CHEETAH_VELOCITY,
    HOPPER_FORWARD,
    HUMANOID_DIRECTION,
    WALKER_FORWARD,
)
from rlpyt.envs.robots import RobotEnv, TaskFamily
from rlpyt.envs.tasks import task_env

__all__ = [
    "ant_dir",
    "ant_goal",
    "cheetah_dir",
    "cheetah_vel",
    "hopper_rand_params",
    "humanoid_dir",
    "point_robot",
    "randomized_dynamics",
    "sparse_point_robot",
    "walker_rand_params",
]

Env = gymnasium.Env[Any, Any]
_LOW_GEAR = 30.0  # instead of 150


def point_robot(*, task: Mapping[str, Any] | None = None, time_limit: int | None = 20) -> Env:
    """A point that is paid for being near a goal: -‖s - g‖₂ (:class:`rlpyt.envs.PointRobot`).

    Tasks: ``goal`` [2], uniform in [-1, 1]². Observation: s ``[2]``; it starts uniform in [-1, 1]².
    Never terminated.
    """
    return _with(PointRobot(), task, time_limit)


def sparse_point_robot(
    *, task: Mapping[str, Any] | None = None, time_limit: int | None = 20
) -> Env:
    """As :func:`point_robot`, from the origin to goals on the unit half circle.

    The reward is the dense one, for learning on train tasks; the one that the task is about is
    ``info["sparse_reward"]``: 1 - ‖s - g‖₂ within 0.2 of the goal, else 0. To record it:
    ``EnvConfig(id="rlpyt.envs.meta:sparse_point_robot", info_keys=("sparse_reward",))``.

    Tasks: ``goal`` [2]; n of them stand evenly on the half circle. Observation: s ``[2]``. Never
    terminated.
    """
    return _with(PointRobot(goals="half_circle"), task, time_limit)


def cheetah_vel(
    *,
    task: Mapping[str, Any] | None = None,
    time_limit: int | None = 200,
    render_mode: str | None = None,
) -> Env:
    """A cheetah that is to run at a certain speed: -|Δx/dt - v| - 0.05 Σa².

    Tasks: ``velocity`` v, uniform in [0, 3] m/s. Observation ``[20]``: qpos without x, qvel, and
    the torso's position. Never terminated.
    """
    return _robot(CHEETAH_VELOCITY, task, time_limit, render_mode)


def cheetah_dir(
    *,
    task: Mapping[str, Any] | None = None,
    time_limit: int | None = 200,
    render_mode: str | None = None,
) -> Env:
    """A cheetah that is to run forward, or backward: d·Δx/dt - 0.05 Σa².

    Tasks: ``direction`` d, 1 or -1; two drawn together are both, and with two for training and two
    for testing, as in the paper, these are the same (``task_split(..., overlap=True)``).
    Observation ``[20]`` as of :func:`cheetah_vel`. Never terminated.
    """
    return _robot(CHEETAH_DIRECTION, task, time_limit, render_mode)


def ant_dir(
    *,
    forward_backward: bool = False,
    low_gear: bool = False,
    task: Mapping[str, Any] | None = None,
    time_limit: int | None = 200,
    render_mode: str | None = None,
) -> Env:
    """An ant that is to run in a certain direction:
    (cos θ, sin θ)·Δ(x, y)/dt - 0.5 Σa² - 5e-4 Σ clip(cfrc_ext, -1, 1)² + 1.

    Tasks: ``angle`` θ in radians, uniform in [0, 2π]; with ``forward_backward`` 0 or π, and then
    what is said of :func:`cheetah_dir` holds. The release trained on two random angles where the
    paper says forward and backward. Observation ``[27]``: qpos without x and y, qvel. Terminated
    where the torso's height is not within 0.2 to 1 m, or a number is not finite.

    Args:
        forward_backward: only these two directions.
        low_gear: actuators of a fifth of the force: gear 30 instead of 150.
        task: to start with.
        time_limit: in steps.
        render_mode: passed on to Gymnasium.
    """
    family = ANT_FORWARD_BACKWARD if forward_backward else ANT_DIRECTION
    return _ant(family, low_gear, task, time_limit, render_mode)


def ant_goal(
    *,
    low_gear: bool = False,
    task: Mapping[str, Any] | None = None,
    time_limit: int | None = 200,
    render_mode: str | None = None,
) -> Env:
    """An ant that is to walk to a goal: -‖(x, y) - g‖₁ - 0.1 Σa² - 5e-4 Σ clip(cfrc_ext, -1, 1)².

    Tasks: ``goal`` g [2], uniform in the disc of 3 m. Observation ``[113]``: qpos, qvel, clipped
    cfrc_ext of every body, the world's zeros among them. Never terminated.
    """
    return _ant(ANT_GOAL, low_gear, task, time_limit, render_mode)


def humanoid_dir(
    *,
    task: Mapping[str, Any] | None = None,
    time_limit: int | None = 200,
    render_mode: str | None = None,
) -> Env:
    """A humanoid that is to run in a certain direction: 0.25 (cos θ, sin θ)·Δc/0.003 - 0.1 Σu² -
    min(5e-7 Σ cfrc_ext², 10) + 5, with the centre of mass c, the controls u in [-0.4, 0.4], and the
    simulation's time step of 0.003 s where others have the time between two actions, 0.015 s.

    Tasks: ``angle`` θ, uniform in [0, 2π]. Observation ``[376]``: qpos without x and y, qvel,
    cinert, cvel, qfrc_actuator, cfrc_ext; Humanoid-v5 leaves out 28 of them that are always zero.
    Terminated where the torso's height is not within 1 to 2 m.
    """
    return _robot(HUMANOID_DIRECTION, task, time_limit, render_mode)


def hopper_rand_params(
    *,
    log_scale_limit: float = 3.0,
    task: Mapping[str, Any] | None = None,
    time_limit: int | None = 200,
    render_mode: str | None = None,
) -> Env:
    """A hopper of unknown mass, inertia, damping and friction: Δx/dt + 1 - 1e-3 Σa².

    Tasks: :class:`rlpyt.envs.RandomizedDynamics`; the task to start with is the nominal model.
    Observation ``[11]``: qpos without x, qvel clipped to ±10. Terminated unless the height is above
    0.7 m, the angle within ±0.2, the rest within ±100, all finite; the last step is paid the 1 too,
    as Hopper-v5 does not.
    """
    return _randomized(HOPPER_FORWARD, log_scale_limit, task, time_limit, render_mode)


def walker_rand_params(
    *,
    log_scale_limit: float = 3.0,
    task: Mapping[str, Any] | None = None,
    time_limit: int | None = 200,
    render_mode: str | None = None,
) -> Env:
    """A walker of unknown mass, inertia, damping and friction: Δx/dt + 1 - 1e-3 Σa².

    Tasks: :class:`rlpyt.envs.RandomizedDynamics`; the task to start with is the nominal model.
    Observation ``[17]``: qpos without x, qvel clipped to ±10. Terminated unless the height is
    within 0.8 to 2 m and the angle within ±1; the last step is paid the 1 too, as Walker2d-v5 does
    not. In its model both feet have a friction of 1.9; in those before v5, as in the release, one
    has 0.9.
    """
    return _randomized(WALKER_FORWARD, log_scale_limit, task, time_limit, render_mode)


def randomized_dynamics(
    env: str,
    *,
    env_kwargs: dict[str, Any] | None = None,
    log_scale_limit: float = 3.0,
    task: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
) -> Env:
    """Any MuJoCo environment, by id or ``"module:callable"``, with
    :class:`rlpyt.envs.RandomizedDynamics`; rewards, observations and time limit are its own.

    As ``EnvConfig(id="rlpyt.envs.meta:randomized_dynamics", kwargs={"env": "Ant-v5"})``.

    Raises:
        RlpytError: ``env``, where it is unknown or has no MuJoCo model.
    """
    kwargs = dict(env_kwargs or {})
    if render_mode is not None:
        kwargs["render_mode"] = render_mode
    made = make_env(env, kwargs)
    if isinstance(made, TimeLimit):  # which samplers count themselves, where it is the outermost
        dynamics = RandomizedDynamics(made.env, log_scale_limit=log_scale_limit)
        return _with(dynamics, task, made._max_episode_steps)
    return _with(RandomizedDynamics(made, log_scale_limit=log_scale_limit), task, None)


def _robot(
    family: TaskFamily,
    task: Mapping[str, Any] | None,
    time_limit: int | None,
    render_mode: str | None,
) -> Env:
    return _with(RobotEnv(family, render_mode=render_mode), task, time_limit)


def _ant(
    family: TaskFamily,
    low_gear: bool,
    task: Mapping[str, Any] | None,
    time_limit: int | None,
    render_mode: str | None,
) -> Env:
    robot = RobotEnv(family, render_mode=render_mode)
    if low_gear:
        robot.model.actuator_gear[:, 0] = _LOW_GEAR
    return _with(robot, task, time_limit)


def _randomized(
    family: TaskFamily,
    log_scale_limit: float,
    task: Mapping[str, Any] | None,
    time_limit: int | None,
    render_mode: str | None,
) -> Env:
    robot = RobotEnv(family, render_mode=render_mode)
    return _with(RandomizedDynamics(robot, log_scale_limit=log_scale_limit), task, time_limit)


def _with(env: Env, task: Mapping[str, Any] | None, time_limit: int | None) -> Env:
    if task is not None:
        task_env(env).set_task(task)
    return env if time_limit is None else TimeLimit(env, time_limit)
