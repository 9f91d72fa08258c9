"""Tasks: the protocol through wrappers, train and test tasks, and a run that takes them along."""

import json
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from env_fakes import WalkEnv, allocate, assert_same_course, copy_tree, roll
from gymnasium import spaces
from gymnasium.wrappers import ClipReward, FrameStackObservation, TimeLimit

from rlpyt.envs.build import EnvConfig, build_env, build_vector_env
from rlpyt.envs.capsule import read_capsule, write_capsule
from rlpyt.envs.capsule_replay import replay_capsule
from rlpyt.envs.check import check_env
from rlpyt.envs.meta import point_robot, sparse_point_robot
from rlpyt.envs.point_robot import PointRobot
from rlpyt.envs.task_split import task_split
from rlpyt.envs.tasks import (
    TaskEnv,
    checked_task,
    find_task_env,
    plain_task,
    same_task,
    task_env,
)
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.errors import RlpytError

POINT = "rlpyt.envs.meta:point_robot"
SPARSE = "rlpyt.envs.meta:sparse_point_robot"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class PushEnv(gymnasium.Env):
    """A task env of one's own: pays for actions near a target; raises where asked to."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, targets: tuple[float, ...] = ()) -> None:
        self.targets = targets
        self.target = 0.0

    def sample_tasks(self, n, rng):
        if self.targets:
            return [{"target": self.targets[i % len(self.targets)]} for i in range(n)]
        return [{"target": t} for t in rng.uniform(-1, 1, n).tolist()]

    def set_task(self, task):
        self.target = checked_task(task, {"target": 0.0})["target"]

    def get_task(self):
        return {"target": self.target}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.normal()
        return np.array([self.x], np.float32), {}

    def step(self, action):
        if self.target == 13:
            raise RuntimeError("an unlucky number")
        self.x += self.target + self.np_random.normal()
        reward = -abs(float(action[0]) - self.target)
        return (
            np.array([self.x], np.float32),
            reward,
            bool(self.np_random.random() < 0.1),
            False,
            {},
        )


# --- the protocol --------------------------------------------------------------------------------


def test_tasks_are_found_through_wrappers():
    env = ClipReward(FrameStackObservation(point_robot(), 2), -1, 1)
    task_env(env).set_task({"goal": [0.5, -0.25]})
    assert isinstance(env.unwrapped, PointRobot)
    assert same_task(env.unwrapped.get_task(), {"goal": np.array([0.5, -0.25])})
    assert task_env(env) is env.unwrapped


def test_the_outermost_tasks_count():
    class Doubled(gymnasium.Wrapper):
        def sample_tasks(self, n, rng):
            return []

        def set_task(self, task):
            pass

        def get_task(self):
            return {}

    doubled = Doubled(PointRobot())
    assert task_env(ClipReward(doubled, -1, 1)) is doubled


def test_an_environment_without_tasks_is_told_what_it_lacks():
    assert find_task_env(ClipReward(WalkEnv(), -1, 1)) is None
    with pytest.raises(RlpytError, match="has no tasks") as caught:
        task_env(gymnasium.make("CartPole-v1"))
    assert "sample_tasks, set_task and get_task" in caught.value.hint


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({}, "without 'goal'"),
        ({"goall": [0, 0]}, "the number 'goall'"),
        ({"goal": [0.0]}, r"goal of shape \(1,\), expected \(2,\)"),
        ({"goal": 1.0}, r"shape \(\), expected \(2,\)"),
        ({"goal": [0.0, np.nan]}, "expected finite"),
        ({"goal": "up"}, "expected numbers"),
        ({"goal": [[0.0], [0.0, 1.0]]}, "expected numbers"),
    ],
)
def test_a_wrong_task_is_named_and_changes_nothing(task, message):
    env = PointRobot()
    before = env.get_task()
    with pytest.raises(RlpytError, match=message):
        env.set_task(task)
    assert same_task(env.get_task(), before)


def test_tasks_are_plain_data():
    for env in (PointRobot(), PushEnv()):
        for task in env.sample_tasks(20, rng()):
            env.set_task(json.loads(json.dumps(plain_task(task))))
            assert same_task(env.get_task(), task)
            assert same_task(pickle.loads(pickle.dumps(task)), task)


def test_a_task_that_was_handed_out_is_a_copy():
    env = PointRobot()
    given = {"goal": np.array([0.5, 0.5])}
    env.set_task(given)
    given["goal"][:] = 9
    env.get_task()["goal"][:] = 9
    assert same_task(env.get_task(), {"goal": np.array([0.5, 0.5])})
    [one, other] = env.sample_tasks(2, rng())
    one["goal"][:] = 9
    assert (other["goal"] < 2).all()


# --- train and test tasks ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "env", [POINT, SPARSE, PushEnv, EnvConfig(id=POINT), PointRobot(), point_robot()]
)
def test_train_and_test_tasks_are_seeded_and_disjoint(env):
    split, again = task_split(env, 80, 20, seed=3), task_split(env, 80, 20, seed=3)
    assert (len(split.train), len(split.test)) == (80, 20)
    for one, other in zip([*split.train, *split.test], [*again.train, *again.test], strict=True):
        assert same_task(one, other)
    assert not any(same_task(one, other) for one in split.train for other in split.test)
    if not isinstance(env, EnvConfig):
        other_seed = task_split(env, 80, 20, seed=4)
        assert not same_task(other_seed.train[0], split.train[0])


def test_test_tasks_that_are_trained_on_must_be_asked_for():
    config = EnvConfig(id=PushEnv, kwargs={"targets": (1.0, -1.0)})
    with pytest.raises(
        RlpytError, match=r"2 of 2 test tasks of .*PushEnv are train tasks"
    ) as caught:
        task_split(config, 2, 2, seed=0)
    assert "overlap=True" in caught.value.hint
    split = task_split(config, 2, 2, seed=0, overlap=True)
    assert split.train == split.test == [{"target": 1.0}, {"target": -1.0}]
    split = task_split(config, 2, 1, seed=0, overlap=True)  # the last of the list, as in PEARL
    assert split.test == [{"target": -1.0}]


def test_a_split_needs_tasks_and_numbers():
    with pytest.raises(RlpytError, match="has no tasks"):
        task_split("CartPole-v1", 2, 2, seed=0)
    with pytest.raises(RlpytError, match="must not be negative"):
        task_split(POINT, -1, 2, seed=0)
    assert task_split(POINT, 0, 2, seed=0).train == []
    assert task_split(POINT, 2, 0, seed=0).test == []


# --- point robots --------------------------------------------------------------------------------


def test_point_robot_moves_and_is_paid_by_the_formula():
    env = point_robot(task={"goal": [0.3, -0.7]})
    position, _info = env.reset(seed=1)
    assert (np.abs(position) <= 1).all()
    starts = np.array([env.reset(seed=seed)[0] for seed in range(300)])
    assert np.abs(starts.mean(0)).max() < 0.15
    assert (np.abs(starts).max(0) > 0.9).all()
    position, _info = env.reset(seed=1)
    actions = rng().uniform(-1.5, 1.5, (20, 2)).astype(np.float32)
    for t, action in enumerate(actions):
        position = position + 0.1 * np.clip(action, -1, 1).astype(np.float64)
        observation, reward, terminated, truncated, info = env.step(action)
        np.testing.assert_allclose(observation, position, atol=1e-7)
        expected = -np.sqrt(((observation - [0.3, -0.7]) ** 2).sum())
        assert reward == pytest.approx(expected, abs=1e-12)
        assert (terminated, truncated, info) == (False, t == 19, {})


def test_sparse_point_robot_is_paid_within_its_radius_only():
    env = sparse_point_robot(task={"goal": [1.0, 0.0]})
    position, _info = env.reset(seed=1)
    assert (position == 0).all()
    paid = []
    for _ in range(14):
        position, reward, _terminated, _truncated, info = env.step(np.array([1.0, 0.05]))
        distance = np.linalg.norm(position - [1.0, 0.0])
        assert reward == pytest.approx(-distance, abs=1e-12)
        sparse = info["sparse_reward"]
        assert sparse == pytest.approx(1 - distance if distance <= 0.2 else 0, abs=1e-12)
        paid.append(sparse > 0)
    assert paid == [False] * 8 + [True] * 3 + [False] * 3


def test_goals_are_where_they_should_be():
    square = np.array([task["goal"] for task in PointRobot().sample_tasks(500, rng())])
    assert (np.abs(square) <= 1).all()
    assert (square.max(0) > 0.95).all()
    assert (square.min(0) < -0.95).all()
    env = PointRobot(goals="half_circle")
    goals = np.array([task["goal"] for task in env.sample_tasks(100, rng())])
    angles = np.arctan2(goals[:, 1], goals[:, 0])
    np.testing.assert_allclose(np.sort(angles), np.linspace(0, np.pi, 100), atol=1e-12)
    assert (np.diff(angles) < 0).any()  # in random order
    alone = [env.sample_tasks(1, rng(seed))[0]["goal"] for seed in range(20)]
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1)
    assert len({goal.tobytes() for goal in alone}) == 20


@pytest.mark.parametrize("env", [POINT, SPARSE, PushEnv])
def test_env_check_finds_nothing_to_mend(env):
    report = check_env(env, steps=200)
    assert report.ok
    assert "tasks" in [finding.topic for finding in report.findings]
    assert "tasks" not in [finding.topic for finding in check_env("CartPole-v1", steps=60).findings]


class FewTasks(gymnasium.Wrapper):
    """What a check must find wrong; those below differ in how."""

    def sample_tasks(self, n, rng):
        return self.env.sample_tasks(n - 1, rng)

    def set_task(self, task):
        self.env.set_task(task)

    def get_task(self):
        return self.env.get_task()


class OwnTasks(FewTasks):
    def sample_tasks(self, n, rng):
        return self.env.sample_tasks(n, self.np_random)


class SettingTasks(FewTasks):
    def sample_tasks(self, n, rng):
        tasks = self.env.sample_tasks(n, rng)
        self.env.set_task(tasks[-1])
        return tasks


class StrangeTasks(FewTasks):
    def sample_tasks(self, n, rng):
        return [{"goal": object()} for _ in range(n)]


class ForgetfulTasks(FewTasks):
    def sample_tasks(self, n, rng):
        return self.env.sample_tasks(n, rng)

    def set_task(self, task):
        pass


class FailingTasks(ForgetfulTasks):
    def set_task(self, task):
        raise KeyError("goal")


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (FewTasks, "sample_tasks(4, rng) returned"),
        (OwnTasks, "the same generator gives other tasks"),
        (SettingTasks, "sample_tasks changes the current task"),
        (StrangeTasks, "a task is {'goal': <object"),
        (ForgetfulTasks, "get_task gives another"),
        (FailingTasks, "raised KeyError: 'goal'"),
    ],
)
def test_env_check_sees_what_is_wrong_with_tasks(cls, message):
    report = check_env(lambda: TimeLimit(cls(PointRobot()), 20), steps=60)
    found = [finding for finding in report.problems if finding.topic == "tasks"]
    assert len(found) == 1
    assert message in found[0].what


# --- a sampler's vector --------------------------------------------------------------------------


def start(env: Any, n_envs: int = 2, **kwargs: Any) -> tuple[Any, Any]:
    config = EnvConfig(id=env, kwargs=kwargs, info_keys=("sparse_reward",) * (env == SPARSE))
    return build_vector_env(config, range(n_envs), seed=0), config


def test_the_sparse_reward_is_recorded():
    env, _config = start(SPARSE, task={"goal": [1.0, 0.0]})
    observation, out = allocate(env, namedarraytuple("EnvInfo", ["sparse_reward"])(np.float32(0)))
    env.reset(observation)
    steps = roll(env, np.full((9, 2, 2), [1.0, 0.0], np.float32), out)
    sparse = [float(step.env_info.sparse_reward[0]) for step in steps]
    assert sparse[:7] == [0.0] * 7
    assert sparse[8] == pytest.approx(0.9)


@pytest.mark.parametrize("frame_stack", [None, 2])
def test_the_state_of_an_environment_has_its_task(frame_stack):
    """Behind wrappers too; a new environment, which starts with another task, goes on exactly."""
    config = EnvConfig(id=PushEnv, frame_stack=frame_stack, time_limit=50)
    env = build_vector_env(config, range(2), seed=0)
    observation, out = allocate(env)
    for i, part in enumerate(env.task_envs):
        part.set_task({"target": 0.5 - i})
    env.reset(observation)
    actions = rng().uniform(-1, 1, (60, 2, 1)).astype(np.float32)
    roll(env, actions[:25], out)
    state, seen = env.state_dict(), copy_tree(out.observation)
    expected = roll(env, actions[25:], out)
    other = build_vector_env(config, range(2), seed=0)
    _observation, out = allocate(other)
    assert other.load_state_dict(state, seen)
    assert [part.get_task() for part in other.task_envs] == [{"target": 0.5}, {"target": -0.5}]
    assert_same_course(roll(other, actions[25:], out), expected)


def test_a_crash_capsule_has_the_task(tmp_path):
    env = build_vector_env(EnvConfig(id=PushEnv), range(2), seed=0)
    observation, out = allocate(env)
    env.task_envs[1].set_task({"target": 13})
    env.reset(observation)
    with pytest.raises(RlpytError, match="an unlucky number") as caught:
        roll(env, np.zeros((1, 2, 1), np.float32), out)
    capsule = read_capsule(write_capsule(tmp_path, caught.value.capsule))
    assert capsule["task"] == {"target": 13.0}
    assert replay_capsule(capsule).reproduced
    assert not replay_capsule({**capsule, "task": None}).reproduced


def test_vectors_without_tasks_are_as_before():
    env, _config = start("CartPole-v1")
    assert env.task_envs == [None, None]
    observation, _out = allocate(env)
    env.reset(observation)
    assert all("task" not in state for state in env.state_dict()["envs"])


def test_the_protocol_is_three_methods():
    assert isinstance(PushEnv(), TaskEnv)
    assert not isinstance(WalkEnv(), TaskEnv)
    assert build_env(EnvConfig(id=POINT, kwargs={"task": {"goal": [0, 0]}})) is not None
    with pytest.raises(RlpytError, match="neither 'square' nor"):
        PointRobot(goals="circle")
