"""The MuJoCo environments of meta-learning, against MuJoCo itself and the formulas written out."""

import gc
import json
import math
import resource
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from rlpyt.envs import meta
from rlpyt.envs.build import EnvConfig, build_env, build_vector_env
from rlpyt.envs.check import check_env
from rlpyt.envs.edge import without_limit
from rlpyt.envs.meta import (
    ant_dir,
    ant_goal,
    cheetah_dir,
    cheetah_vel,
    hopper_rand_params,
    humanoid_dir,
    randomized_dynamics,
    walker_rand_params,
)
from rlpyt.envs.point_robot import PointRobot
from rlpyt.envs.randomized_dynamics import RandomizedDynamics
from rlpyt.envs.robot_tasks import ANT_DIRECTION, HOPPER_FORWARD, HUMANOID_DIRECTION, WALKER_FORWARD
from rlpyt.envs.task_split import task_split
from rlpyt.envs.tasks import plain_task, same_task, task_env
from rlpyt.utils.errors import RlpytError

mujoco = pytest.importorskip("mujoco", reason="the optional package mujoco is not installed")
pytest.importorskip("imageio", reason="the optional package imageio is not installed")

PARAMETERS = ("body_mass", "body_inertia", "dof_damping", "geom_friction")
MAKERS = [
    cheetah_vel,
    cheetah_dir,
    ant_dir,
    ant_goal,
    humanoid_dir,
    hopper_rand_params,
    walker_rand_params,
]
ARMS = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def arrays_of(env: Any) -> dict[str, np.ndarray]:
    return {name: np.array(getattr(env.unwrapped.model, name)) for name in PARAMETERS}


# --- rewards, from MuJoCo's numbers alone --------------------------------------------------------


def centre_of_mass(model: Any, data: Any) -> np.ndarray:
    return sum(m * x for m, x in zip(model.body_mass, data.xipos, strict=True)) / sum(
        model.body_mass
    )


def clipped_contacts(data: Any) -> float:
    return sum(min(max(f, -1), 1) ** 2 for f in data.cfrc_ext.ravel())


def formula(name: str, task: Any, action: Any, model: Any, before: Any, after: Any) -> float:
    """The reward; ``before`` and ``after`` are MjData, of which nothing else is known."""
    effort = sum(float(a) ** 2 for a in action)
    torso = model.body("torso").id
    step = after.xpos[torso] - before.xpos[torso]
    speed = (after.qpos[0] - before.qpos[0]) / {"c": 0.05, "h": 0.008, "w": 0.008}.get(name[0], 1)
    if name == "cheetah_vel":
        return -abs(speed - task["velocity"]) - 0.05 * effort
    if name == "cheetah_dir":
        return task["direction"] * speed - 0.05 * effort
    if name == "ant_dir":
        way = step[0] * math.cos(task["angle"]) + step[1] * math.sin(task["angle"])
        return way / 0.05 - 0.5 * effort - 5e-4 * clipped_contacts(after) + 1
    if name == "ant_goal":
        x, y, _z = after.xpos[torso]
        distance = abs(x - task["goal"][0]) + abs(y - task["goal"][1])
        return -distance - 0.1 * effort - 5e-4 * clipped_contacts(after)
    if name == "humanoid_dir":
        x, y, _z = centre_of_mass(model, after) - centre_of_mass(model, before)
        way = x * math.cos(task["angle"]) + y * math.sin(task["angle"])
        impact = min(0.5e-6 * float((after.cfrc_ext**2).sum()), 10)
        return 0.25 * way / 0.003 - 0.1 * float((after.ctrl**2).sum()) - impact + 5
    return speed + 1 - 1e-3 * effort


FRAME_SKIP = {"hopper_rand_params": 4, "walker_rand_params": 4}


def simulated(name: str, model: Any, before: Any, action: Any) -> Any:
    """What MuJoCo makes of an action, on its own."""
    after = mujoco.MjData(model)
    mujoco.mj_copyData(after, model, before)
    low, high = model.actuator_ctrlrange.T
    after.ctrl[:] = low + (np.clip(np.float64(action), -1, 1) + 1) / 2 * (high - low)
    mujoco.mj_step(model, after, nstep=FRAME_SKIP.get(name, 5))
    mujoco.mj_rnePostConstraint(model, after)
    return after


@ARMS
def test_rewards_are_the_formula_on_what_mujoco_says(make):
    env = make()
    robot, random = env.unwrapped, rng()
    model = robot.model
    before = mujoco.MjData(model)
    contacts = 0.0
    for task in task_env(env).sample_tasks(3, random):
        task_env(env).set_task(task)
        env.reset(seed=int(random.integers(1000)))
        for _ in range(25):
            action = random.uniform(-1.3, 1.3, robot.action_space.shape).astype(np.float32)
            mujoco.mj_copyData(before, model, robot.data)
            _obs, reward, terminated, _truncated, info = env.step(action)
            after = simulated(make.__name__, model, before, action)
            np.testing.assert_allclose(robot.data.qpos, after.qpos, rtol=0, atol=1e-9)
            clipped = np.clip(np.float64(action), -1, 1)
            expected = formula(make.__name__, task, clipped, model, before, after)
            assert reward == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert sum(info.values()) == reward
            contacts += float(np.abs(robot.data.cfrc_ext).sum())
            if terminated:
                env.reset(seed=0)
    assert contacts > 0
    env.close()


OBSERVATIONS: dict[str, Any] = {
    "cheetah_vel": (20, lambda m, d: [d.qpos[1:], d.qvel, d.body("torso").xpos]),
    "cheetah_dir": (20, lambda m, d: [d.qpos[1:], d.qvel, d.body("torso").xpos]),
    "ant_dir": (27, lambda m, d: [d.qpos[2:], d.qvel]),
    "ant_goal": (113, lambda m, d: [d.qpos, d.qvel, np.clip(d.cfrc_ext, -1, 1).ravel()]),
    "humanoid_dir": (
        376,
        lambda m, d: [
            d.qpos[2:],
            d.qvel,
            *[getattr(d, x).ravel() for x in ("cinert", "cvel", "qfrc_actuator", "cfrc_ext")],
        ],
    ),
    "hopper_rand_params": (11, lambda m, d: [d.qpos[1:], np.clip(d.qvel, -10, 10)]),
    "walker_rand_params": (17, lambda m, d: [d.qpos[1:], np.clip(d.qvel, -10, 10)]),
}


@ARMS
def test_observations_and_time_limits(make):
    env = make()
    robot = env.unwrapped
    size, parts = OBSERVATIONS[make.__name__]
    observation, _info = env.reset(seed=0)
    for push in (0.0, 1.0, -1.0):
        assert observation.shape == env.observation_space.shape == (size,)
        expected = np.concatenate(parts(robot.model, robot.data))
        np.testing.assert_array_equal(observation, expected)
        kept = observation.copy()
        [after, *_rest] = env.step(np.full(env.action_space.shape, push))
        np.testing.assert_array_equal(observation, kept)  # no view of what moves on
        observation = after
    assert without_limit(env)[1] == 200
    assert without_limit(make(time_limit=7))[1] == 7
    assert without_limit(make(time_limit=None))[1] == math.inf
    env.close()


def test_episodes_end_as_told():
    random = rng()
    for _ in range(3000):
        qpos, qvel = random.normal(0, 1.5, 15), random.normal(0, 1, 14)
        bad = random.integers(0, 15)
        if random.random() < 0.2:
            qpos[bad] = random.choice([np.nan, np.inf, 101.0])
        data = SimpleNamespace(qpos=qpos, qvel=qvel)
        state = np.concatenate([qpos, qvel])
        finite = bool(np.isfinite(state).all())
        z, height, angle = qpos[2], qpos[1], qpos[2]
        small = finite and bool((np.abs(state[2:]) < 100).all())
        expected = [
            (ANT_DIRECTION, not (finite and z >= 0.2 and z <= 1.0)),
            (HUMANOID_DIRECTION, not (z >= 1.0 and z <= 2.0)),
            (HOPPER_FORWARD, not (small and height > 0.7 and abs(angle) < 0.2)),
            (WALKER_FORWARD, not (0.8 < height < 2 and -1 < angle < 1)),
        ]
        for family, ends in expected:
            assert family.robot.terminated(data) is ends, (family.robot.id, qpos)
    for make in (cheetah_vel, ant_goal):
        env = make()
        env.reset(seed=0)
        env.unwrapped.data.qpos[2] = 5.0
        assert not env.step(np.zeros(env.action_space.shape))[2]
    env = ant_dir()
    env.reset(seed=0)
    env.unwrapped.data.qpos[2] = 5.0
    assert env.step(np.zeros(8))[2]


def test_a_low_gear_has_a_fifth_of_the_force():
    assert (ant_dir().unwrapped.model.actuator_gear[:, 0] == 150).all()
    for make in (ant_dir, ant_goal):
        assert (make(low_gear=True).unwrapped.model.actuator_gear[:, 0] == 30).all()


# --- tasks ---------------------------------------------------------------------------------------


def test_tasks_are_drawn_as_the_paper_draws_them():
    velocities = [task["velocity"] for task in cheetah_vel().unwrapped.sample_tasks(400, rng())]
    assert 0 <= min(velocities) < 0.05
    assert 2.95 < max(velocities) <= 3
    for make in (ant_dir, humanoid_dir):
        angles = [task["angle"] for task in make().unwrapped.sample_tasks(400, rng())]
        assert 0 <= min(angles) < 0.1
        assert 6.2 < max(angles) <= 2 * math.pi
    goals = np.array([task["goal"] for task in ant_goal().unwrapped.sample_tasks(4000, rng())])
    distances = np.linalg.norm(goals, axis=1)
    assert distances.max() <= 3
    assert np.mean(distances**2) == pytest.approx(4.5, rel=0.05)  # uniform in the disc
    assert np.abs(goals.mean(0)).max() < 0.1


@pytest.mark.parametrize(
    ("make", "kwargs", "name", "both"),
    [
        (cheetah_dir, {}, "direction", {1.0, -1.0}),
        (ant_dir, {"forward_backward": True}, "angle", {0.0, math.pi}),
    ],
)
def test_two_tasks_are_both_and_overlap_when_asked(make, kwargs, name, both):
    env = make(**kwargs)
    for n in (2, 4, 7):
        drawn = [task[name] for task in task_env(env).sample_tasks(n, rng(n))]
        assert len(drawn) == n
        assert set(drawn) == set(drawn[:2]) == both
    alone = {task_env(env).sample_tasks(1, rng(seed))[0][name] for seed in range(20)}
    assert alone == both
    with pytest.raises(RlpytError, match="2 of 2 test tasks"):
        task_split(env, 2, 2, seed=0)
    split = task_split(env, 2, 2, seed=0, overlap=True)
    assert split.train == split.test
    assert {task[name] for task in split.train} == both


@ARMS
def test_tasks_are_seeded_disjoint_and_go_through_json(make):
    two = {"overlap": True} if make is cheetah_dir else {}
    env = make()
    split = task_split(env, 2, 2, seed=5, **two)
    again = task_split(f"rlpyt.envs.meta:{make.__name__}", 2, 2, seed=5, **two)
    for tasks, repeated in zip(split, again, strict=True):
        for task, other in zip(tasks, repeated, strict=True):
            assert same_task(task, other)
            task_env(env).set_task(json.loads(json.dumps(plain_task(task))))
            assert same_task(task_env(env).get_task(), task)
    if not two:
        assert not any(same_task(one, other) for one in split.train for other in split.test)
    env.close()


def test_a_task_to_start_with_and_wrong_ones():
    config = EnvConfig(id="rlpyt.envs.meta:cheetah_vel", kwargs={"task": {"velocity": 2.0}})
    assert task_env(build_env(config)).get_task() == {"velocity": 2.0}
    with pytest.raises(RlpytError, match="the number 'speed'"):
        cheetah_vel(task={"speed": 2.0})


@ARMS
def test_env_check_finds_nothing_to_mend(make):
    report = check_env(f"rlpyt.envs.meta:{make.__name__}", steps=60)
    assert report.problems == []


def test_every_environment_makes_the_same_vector_by_name():
    assert {make.__name__ for make in MAKERS} | {
        "point_robot",
        "sparse_point_robot",
        "randomized_dynamics",
    } == set(meta.__all__)
    env = build_vector_env(EnvConfig(id="rlpyt.envs.meta:hopper_rand_params"), range(2), seed=0)
    assert all(isinstance(part, RandomizedDynamics) for part in env.task_envs)
    env.close()


# --- randomised dynamics -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_id", "limit"), [("Hopper-v5", 3.0), ("Walker2d-v5", 1.0), ("Humanoid-v5", 3.0)]
)
def test_parameters_stay_in_their_ranges_and_vary_by_element(env_id, limit):
    env = randomized_dynamics(env_id, log_scale_limit=limit)
    nominal = arrays_of(env)
    tasks = task_env(env).sample_tasks(200, rng())
    bases = {"dof_damping": 1.3}
    for name in PARAMETERS:
        base, array = bases.get(name, 1.5), nominal[name]
        drawn = np.stack([task[name] for task in tasks])
        assert drawn.shape[1:] == array.shape
        zero = array == 0
        assert (drawn[:, zero] == 0).all()
        scale = np.log(drawn[:, ~zero] / array[~zero]) / np.log(base)  # u, uniform in [-L, L]
        assert np.abs(scale).max() <= limit + 1e-9
        assert np.abs(scale).max() > 0.97 * limit
        assert np.abs(np.median(scale)) < 0.1 * limit
        assert len(np.unique(scale)) == scale.size  # each element on its own
        correlation = np.corrcoef(scale.T) - np.eye(scale.shape[1])
        assert np.abs(correlation).max() < 0.4
    assert nominal["body_mass"][0] == 0
    env.close()


def test_the_nominal_model_comes_back_bit_for_bit():
    env = hopper_rand_params()
    nominal, random = arrays_of(env), rng()
    part = task_env(env)
    assert isinstance(part, RandomizedDynamics)
    for task in part.sample_tasks(200, random):
        part.set_task(task)
        for name, array in arrays_of(env).items():
            np.testing.assert_array_equal(array, task[name])
        env.reset(seed=0)
        env.step(env.action_space.sample())
    part.set_task(part.nominal_task())
    fresh = hopper_rand_params()
    for name, array in arrays_of(env).items():
        assert array.tobytes() == nominal[name].tobytes() == arrays_of(fresh)[name].tobytes()
    for made in (env, fresh):
        made.reset(seed=3)
    for action in random.uniform(-1, 1, (20, 3)):
        np.testing.assert_array_equal(env.step(action)[0], fresh.step(action)[0])


def test_dynamics_are_what_the_task_says():
    """The same pushes go elsewhere, and what differs is nothing but the four arrays."""
    env = randomized_dynamics("HalfCheetah-v5")
    plain = gymnasium.make("HalfCheetah-v5", disable_env_checker=True).unwrapped
    task = task_env(env).sample_tasks(1, rng())[0]
    assert env.spec is not None
    actions = rng().uniform(-1, 1, (20, 6))
    courses = []
    for is_random in (False, True):
        if is_random:
            task_env(env).set_task(task)
            for name in PARAMETERS:
                getattr(plain.model, name)[...] = task[name]
        env.reset(seed=0)
        plain.reset(seed=0)
        for action in actions:
            one, other = env.step(action), plain.step(action)
            np.testing.assert_array_equal(one[0], other[0])
            assert one[1] == other[1]
        courses.append(one[0])
    assert np.abs(courses[0] - courses[1]).max() > 0.01


def test_dynamics_on_top_of_tasks_are_both():
    env = RandomizedDynamics(cheetah_vel(), log_scale_limit=1.0, parameters=("body_mass",))
    assert env.get_task().keys() == {"velocity", "body_mass"}
    [task] = env.sample_tasks(1, rng())
    env.set_task(task)
    assert same_task(env.get_task(), task)
    assert env.unwrapped.get_task() == {"velocity": task["velocity"]}
    assert same_task(env.nominal_task(), {**env.nominal_task(), "velocity": task["velocity"]})


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_impossible_dynamics_change_nothing(bad):
    env = hopper_rand_params()
    part, before = task_env(env), arrays_of(env)
    task = part.sample_tasks(1, rng())[0]
    task["dof_damping"][2] = bad
    with pytest.raises(RlpytError, match="dof_damping"):
        part.set_task(task)
    for name, array in arrays_of(env).items():
        np.testing.assert_array_equal(array, before[name])


def test_what_cannot_be_randomised_is_told():
    with pytest.raises(RlpytError, match="has no MuJoCo model"):
        RandomizedDynamics(PointRobot())
    with pytest.raises(RlpytError, match="has no MuJoCo model"):
        randomized_dynamics("CartPole-v1")
    with pytest.raises(RlpytError, match="'body_mas' is no parameter") as caught:
        RandomizedDynamics(cheetah_vel(), parameters=("body_mas",))
    assert "body_mass" in caught.value.hint
    for limit in (-1.0, math.nan, math.inf):
        with pytest.raises(RlpytError, match="log_scale_limit"):
            hopper_rand_params(log_scale_limit=limit)


# --- nothing leaks -------------------------------------------------------------------------------


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize(
    "make",
    [cheetah_vel, pytest.param(ant_goal, marks=pytest.mark.slow), hopper_rand_params],
)
def test_ten_thousand_task_switches_leak_nothing(make):
    """Neither Python's memory, numpy's arrays included, nor the process's, MuJoCo's included."""
    env = make()
    part, model = task_env(env), env.unwrapped.model
    tasks = part.sample_tasks(50, rng())
    env.reset(seed=0)

    def switch(n: int) -> None:
        for i in range(n):
            part.set_task(tasks[i % len(tasks)])
            part.get_task()
            if i % 10 == 0:
                env.reset(seed=i)
        gc.collect()

    switch(500)
    resident = resident_bytes()
    tracemalloc.start()
    try:
        switch(100)
        traced = tracemalloc.get_traced_memory()[0]
        switch(10_000)
        assert tracemalloc.get_traced_memory()[0] - traced < 20_000
    finally:
        tracemalloc.stop()
    switch(500)
    assert resident_bytes() - resident < 4_000_000
    assert env.unwrapped.model is model
    env.close()


# --- speed ---------------------------------------------------------------------------------------


def steps_per_second(env: Any, n: int = 400) -> float:
    env = without_limit(env)[0]
    actions = rng().uniform(-1, 1, (n, *env.action_space.shape)).astype(np.float32)
    env.reset(seed=0)
    start = time.process_time()
    for action in actions:
        env.step(action)
    return n / (time.process_time() - start)


@pytest.mark.bench
@pytest.mark.parametrize(
    "make", [cheetah_vel, cheetah_dir, lambda: randomized_dynamics("HalfCheetah-v5")]
)
def test_tasks_cost_nothing(make):
    """In turn with Gymnasium's own in CPU time."""
    plain, tasks = gymnasium.make("HalfCheetah-v5", disable_env_checker=True), make()
    ratios = [steps_per_second(tasks) / steps_per_second(plain) for _ in range(30)]
    assert np.median(ratios) >= 0.95
