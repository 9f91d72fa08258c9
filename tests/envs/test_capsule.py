"""A crash capsule tells all that an environment's failure depends on: it happens again from it."""

import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from env_fakes import SPACES, WalkEnv, allocate, assert_same_tree
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlpyt.envs.action_log import decode_actions, encode_actions
from rlpyt.envs.build import EnvConfig, build_vector_env
from rlpyt.envs.capsule import (
    DIED,
    capsule_from_history,
    read_capsule,
    with_capsule,
    write_capsule,
)
from rlpyt.envs.capsule_replay import replay_capsule
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.native import NativeVectorEnv
from rlpyt.envs.vector import VectorEnv
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

FAILURE = {"code": "env", "what": "it broke", "where": "here"}


class FaultEnv(gymnasium.Env):
    """Fails once a walk is far out, by seed and actions alone; episodes have eight steps."""

    broken: ClassVar[bool] = False  # fails at step 3 whatever happens

    def __init__(self, fault: str = "raise in step", mask: bool = False) -> None:
        observation = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        choices = spaces.MultiBinary(3)
        self.observation_space = (
            spaces.Dict(x=observation, action_mask=choices) if mask else observation
        )
        self.action_space = spaces.Discrete(3)
        self.fault, self.mask = fault, mask
        if fault == "raise in constructor":
            raise OSError("no licence")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.place = 0, float(self.np_random.normal())
        if self.fault == "raise in reset" and self.place > 1:
            raise KeyError("no such level")
        x = np.array([0, np.nan if self.fault == "nan in reset" and self.place > 1 else 0])
        return self._observation(x.astype(np.float32)), {"far": 0.0}

    def step(self, action):
        self.t += 1
        self.place += float(self.np_random.normal()) + 0.5 * (int(action) - 1)
        far = self.place > 5 or (self.broken and self.t == 3)
        if far and self.fault == "raise in step":
            raise ValueError(f"out at {self.place} with {object()}")
        x = np.array([self.place, self.t], np.float32)
        if far:
            x = {
                "nan": np.array([1, np.nan], np.float32),
                "shape": np.zeros(3, np.float32),
                "dtype": x.astype(np.float64),
            }.get(self.fault, x)
        reward: Any = np.inf if far and self.fault == "inf" else 0.5
        reward = np.zeros(2) if far and self.fault == "reward" else reward
        end: Any = np.ones(2, bool) if far and self.fault == "end" else False
        info = {"far": "very" if far and self.fault == "info" else 0.0}
        return self._observation(x, far), reward, end, self.t == 8, info

    def _observation(self, x: Any, far: bool = False) -> Any:
        allowed = 0 if far and self.fault == "mask" else 1
        return {"x": x, "action_mask": np.full(3, allowed, np.int8)} if self.mask else x


def fault_vector(num_envs: int, fault: str = "raise in step") -> SyncVectorEnv:
    """The same as a native vector environment."""
    makers = [partial(FaultEnv, fault)] * num_envs
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.NEXT_STEP)


def fault_config(fault: str = "raise in step", **settings: Any) -> EnvConfig:
    kwargs = {"fault": fault, "mask": True} if fault == "mask" else {"fault": fault}
    return EnvConfig(id=FaultEnv, kwargs=kwargs, info_keys=("far",), **settings)


def run_into_failure(config: EnvConfig, *, indices: Any = range(3, 7), **options: Any):
    """What the environments end with, under random actions."""
    rng = np.random.default_rng(0)
    with pytest.raises(RlpytError) as caught:
        drive(config, indices, rng, **options)
    assert caught.value.capsule is not None
    return caught.value


def drive(config: EnvConfig, indices: Any, rng: Any, *, auto_reset=True, decorrelate=0, **options):
    env = build_vector_env(config, indices, seed=1, auto_reset=auto_reset, **options)
    info = None
    if config.info_keys:
        info = namedarraytuple("EnvInfo", config.info_keys)(np.float32(0))
    observation, out = allocate(env, info)
    env.reset(observation)
    if decorrelate:
        env.decorrelate(decorrelate, observation)
    for _ in range(200):
        if not auto_reset:
            env.reset_idle(out.observation)
        env.step(rng.integers(3, size=env.n_envs), out)


def through_file(capsule: Any, folder: Path) -> dict[str, Any]:
    return read_capsule(write_capsule(folder, capsule))


# --- the failure again -------------------------------------------------------------------------

LOOP_FAULTS = {
    "raise in constructor": "raised OSError in its constructor: no licence",
    "raise in reset": "raised KeyError in reset: 'no such level'",
    "nan in reset": "returned observation[1] = nan, expected a finite number",
    "raise in step": "raised ValueError in step: out at ",
    "nan": "returned observation[1] = nan, expected a finite number",
    "inf": "returned reward = inf, expected a finite number",
    "reward": "returned reward of shape (2,), expected one real number",
    "end": "returned terminated of shape (2,), expected one truth value",
    "shape": "returned observation of shape (3,), its space says (2,)",
    "dtype": "returned observation of dtype float64, its space says float32",
    "info": "returned info['far'] = 'very', expected a number",
    "mask": "returned an action_mask that allows no action",
}


@pytest.mark.parametrize("auto_reset", [True, False])
@pytest.mark.parametrize("fault", LOOP_FAULTS)
def test_a_failure_in_a_loop_happens_again_from_its_file(fault, auto_reset, tmp_path):
    error = run_into_failure(fault_config(fault), auto_reset=auto_reset)
    assert LOOP_FAULTS[fault] in error.what
    capsule = through_file(error.capsule, tmp_path)
    assert capsule["failure"] == {"code": "env", "what": error.what, "where": error.where}
    assert error.what.startswith(f"env {capsule['env_index']} ")
    assert (capsule["seed"], capsule["stream"], capsule["auto_reset"]) == (1, "ENV", auto_reset)
    outcome = replay_capsule(capsule)
    assert outcome.reproduced
    assert str(outcome.error).partition(" with <")[0] == str(error).partition(" with <")[0]
    assert outcome.n_actions == capsule["steps"]


def test_it_has_the_seed_and_every_action_of_the_episode_alone():
    error = run_into_failure(fault_config())
    capsule = error.capsule
    index, episode = capsule["env_index"], capsule["episode"]
    assert episode > 0
    assert capsule["episode_seed"] == seed_int(1, Stream.ENV, index, episode)
    assert (
        f"episode {episode}, step {capsule['steps'] - 1}, " in error.where
    )  # it failed in one more
    env = FaultEnv()
    env.reset(seed=capsule["episode_seed"])
    actions = decode_actions(capsule["actions"])
    assert 1 < len(actions) == capsule["steps"] <= 8
    for action in actions[:-1]:
        env.step(action)
    with pytest.raises(ValueError, match="out at"):
        env.step(actions[-1])


@pytest.mark.parametrize("fault", ["raise in step", "nan", "raise in reset"])
def test_a_failure_in_decorrelation_happens_again(fault):
    config = EnvConfig(id=FaultEnv, kwargs={"fault": fault})
    with pytest.raises(RlpytError) as caught:
        drive(config, range(40), None, decorrelate=8)
    assert caught.value.capsule["stream"] == "ENV"
    assert replay_capsule(caught.value.capsule).reproduced


def test_a_time_limit_and_wrappers_are_made_again():
    config = fault_config("nan", time_limit=5, frame_stack=2)
    error = run_into_failure(config)
    assert error.capsule["steps"] <= 5
    assert "observation[1,1]" in error.what.replace(" ", "")
    assert replay_capsule(error.capsule).reproduced


def test_a_failure_while_actions_are_taken_again_to_resume(monkeypatch):
    config = EnvConfig(id=FaultEnv)
    env = build_vector_env(config, [5], seed=1)
    observation, out = allocate(env)
    env.reset(observation)
    for _ in range(4):
        env.step(np.zeros(1, np.int64), out)
    state = env.state_dict()
    monkeypatch.setattr(FaultEnv, "broken", True)
    with pytest.raises(RlpytError, match=r"env 5 raised ValueError in step.*to resume") as caught:
        build_vector_env(config, [5], seed=1).load_state_dict(state)
    assert caught.value.capsule["steps"] == 3
    assert "step 2, " in caught.value.where
    assert replay_capsule(caught.value.capsule).reproduced
    monkeypatch.undo()
    assert replay_capsule(caught.value.capsule).error is None


class StatefulFaultEnv(FaultEnv):
    """Can be put back without its actions."""

    def get_state(self):
        return {"t": self.t, "place": self.place, "rng": self.np_random.bit_generator.state}

    def set_state(self, state):
        self.t, self.place = state["t"], state["place"]
        self.np_random.bit_generator.state = state["rng"]


def test_after_a_resume_it_has_the_actions_from_before_too(monkeypatch):
    config = EnvConfig(id=StatefulFaultEnv)
    env = build_vector_env(config, [5], seed=1)
    observation, out = allocate(env)
    env.reset(observation)
    for action in (0, 1):
        env.step(np.array([action]), out)
    resumed = build_vector_env(config, [5], seed=1)
    resumed.load_state_dict(env.state_dict())
    monkeypatch.setattr(FaultEnv, "broken", True)
    with pytest.raises(RlpytError) as caught:
        resumed.step(np.array([2]), out)
    assert decode_actions(caught.value.capsule["actions"]) == [0, 1, 2]
    assert replay_capsule(caught.value.capsule).reproduced


# --- native vector environments ----------------------------------------------------------------


def native_config(fault: str = "raise in step") -> EnvConfig:
    return EnvConfig(id=fault_vector, kwargs={"fault": fault}, vectorization="native")


@pytest.mark.parametrize("fault", ["raise in constructor", "raise in step", "nan", "inf"])
def test_a_failure_of_a_native_vector_happens_again_from_its_file(fault, tmp_path):
    error = run_into_failure(native_config(fault))
    capsule = through_file(error.capsule, tmp_path)
    assert (capsule["kind"], capsule["env_index"], capsule["n_envs"]) == ("native", 3, 4)
    assert (capsule["episode"] is None) == (fault == "raise in constructor")
    outcome = replay_capsule(capsule)
    assert outcome.reproduced
    assert outcome.n_actions == capsule["steps"]


def test_a_failure_in_the_reset_of_a_native_vector():
    error = run_into_failure(native_config("raise in reset"), indices=range(40))
    assert "env 0 raised KeyError in reset: 'no such level'" in error.what
    assert error.capsule["steps"] == 0
    assert replay_capsule(error.capsule).reproduced
    error = run_into_failure(native_config("nan in reset"), indices=range(40))
    assert replay_capsule(error.capsule).reproduced


def test_a_native_vector_that_fails_when_its_actions_are_taken_again(monkeypatch):
    env = build_vector_env(native_config(), range(2), seed=1)
    observation, out = allocate(env)
    env.reset(observation)
    for _ in range(4):
        env.step(np.zeros(2, np.int64), out)
    monkeypatch.setattr(FaultEnv, "broken", True)
    with pytest.raises(RlpytError, match="env 0 raised ValueError in step") as caught:
        build_vector_env(native_config(), range(2), seed=1).load_state_dict(env.state_dict())
    assert caught.value.capsule["steps"] == 3
    assert replay_capsule(caught.value.capsule).reproduced


def test_a_native_vector_that_took_too_many_steps_says_so():
    env = NativeVectorEnv(fault_vector, range(2), seed=1, max_log=3, description={"class": "x"})
    observation, out = allocate(env)
    env.reset(observation)
    for _ in range(4):
        env.step(np.zeros(2, np.int64), out)
    capsule = env.capsule(FAILURE, 0)
    assert capsule["actions"] is None
    assert capsule["steps"] == 4
    capsule["env"] = config_dict(native_config())
    with pytest.raises(RlpytError, match="none of its 4 actions"):
        replay_capsule(capsule)


# --- what a replay comes to --------------------------------------------------------------------


def test_other_actions_or_another_error_are_not_the_same():
    capsule = run_into_failure(fault_config()).capsule
    n = capsule["steps"]
    outcome = replay_capsule({**capsule, "actions": encode_actions([np.int64(0)] * n)})
    assert (outcome.reproduced, outcome.error, outcome.ended_early) == (False, None, False)
    for key, text in (("what", "env 3 raised TypeError in step: out"), ("code", "hang")):
        outcome = replay_capsule({**capsule, "failure": {**capsule["failure"], key: text}})
        assert not outcome.reproduced
        assert "ValueError" in outcome.error.what
    too_long = [np.int64(0)] * 9
    outcome = replay_capsule({**capsule, "actions": encode_actions(too_long)})
    assert (outcome.reproduced, outcome.error, outcome.ended_early) == (False, None, True)
    assert outcome.n_actions == 8


def test_it_tells_what_comes_next():
    capsule = run_into_failure(fault_config()).capsule
    told: list[int | None] = []
    replay_capsule(capsule, before=told.append)
    assert told == [None, *range(capsule["steps"] + 1)]


def test_what_cannot_be_replayed_is_told():
    capsule = run_into_failure(fault_config()).capsule
    cases = [
        ({"env": None}, "does not say how to make the environment"),
        ({"env": {"class": "subprocess.Popen", "args": "ls"}}, "expected an EnvConfig"),
        ({"env": config_dict(EnvConfig(id=lambda: WalkEnv()))}, "lambda"),
        ({"env": {**capsule["env"], "id": "NoSuchEnv-v0"}}, "NoSuchEnv"),
        ({"episode_seed": 1}, "episode seed is 1, here it is"),
        ({"seed": 2}, "the capsule's episode seed is"),
    ]
    for change, text in cases:
        with pytest.raises(RlpytError, match=text):
            replay_capsule({**capsule, **change})


# --- while a method is running -----------------------------------------------------------------


class ProbeEnv(WalkEnv):
    """Asks for a capsule from inside, as a signal handler does."""

    asked: ClassVar[list[Any]] = []
    vector: ClassVar[VectorEnv | None] = None

    def reset(self, *, seed=None, options=None):
        self._ask()
        return super().reset(seed=seed)

    def step(self, action):
        self._ask()
        return super().step(action)

    def _ask(self) -> None:
        if self.vector is not None:
            self.asked.append(self.vector.capsule({**FAILURE, "code": "hang"}))


@pytest.fixture
def probes(monkeypatch):
    monkeypatch.setattr(ProbeEnv, "asked", [])
    monkeypatch.setattr(ProbeEnv, "vector", None)

    def start(env: VectorEnv):
        observation, out = allocate(env)
        monkeypatch.setattr(ProbeEnv, "vector", env)
        return observation, out, ProbeEnv.asked

    return start


def test_the_row_whose_method_is_running_is_known(probes):
    env = LoopVectorEnv(partial(ProbeEnv, 0.0, 0.0), [7, 9, 4], seed=1)
    assert env.capsule(FAILURE) is None
    observation, out, asked = probes(env)

    def seen():
        rows = [(c["env_index"], c["episode"], decode_actions(c["actions"])) for c in asked]
        asked.clear()
        return rows

    env.reset(observation, first_episode=2)
    assert seen() == [(7, 2, []), (9, 2, []), (4, 2, [])]
    env.step(np.array([0, 1, 2]), out)
    env.step(np.array([1, 1, 0]), out)
    two = [(7, 2, [0, 1]), (9, 2, [1, 1]), (4, 2, [2, 0])]
    assert seen() == [(7, 2, [0]), (9, 2, [1]), (4, 2, [2]), *two]
    assert env.capsule(FAILURE) is None
    again = LoopVectorEnv(partial(ProbeEnv, 0.0, 0.0), [7, 9, 4], seed=1)
    state = env.state_dict()
    probes(again)
    again.load_state_dict(state)
    assert seen()[2::3] == two
    env.decorrelate(3, observation)
    assert again.capsule(FAILURE) is None
    assert env.capsule(FAILURE) is None
    assert again.capsule(FAILURE, 1)["env_index"] == 9


def test_whether_a_native_vector_is_running_is_known(probes):
    def make(n: int) -> SyncVectorEnv:
        return SyncVectorEnv([ProbeEnv] * n, autoreset_mode=AutoresetMode.NEXT_STEP)

    env = NativeVectorEnv(make, range(2), seed=1)
    assert env.capsule(FAILURE) is None
    observation, out, asked = probes(env)
    env.reset(observation)
    env.step(np.array([0, 2]), out)
    assert [capsule["steps"] for capsule in asked] == [0, 0, 1, 1]
    np.testing.assert_array_equal(decode_actions(asked[-1]["actions"]), [[0, 2]])
    assert env.capsule(FAILURE) is None


def test_from_its_history_it_is_the_same():
    error = run_into_failure(fault_config())
    actions = decode_actions(error.capsule["actions"])
    told = capsule_from_history(
        config_dict(fault_config()),
        env_index=error.capsule["env_index"],
        seed=1,
        stream=Stream.ENV,
        episode=error.capsule["episode"],
        actions=actions,
        failure=error.capsule["failure"],
        total_envs=error.capsule["total_envs"],
    )
    assert told == error.capsule


# --- actions -----------------------------------------------------------------------------------


def assert_same_action(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = tuple(one.values()), tuple(other.values())
    if isinstance(one, tuple):
        for x, y in zip(one, other, strict=True):
            assert_same_action(x, y)
    else:
        assert_same_tree(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("name", SPACES)
def test_actions_come_back_with_class_dtype_and_bits(name):
    space = SPACES[name]
    space.seed(0)
    actions = [space.sample() for _ in range(4)]
    back = decode_actions(json.loads(json.dumps(encode_actions(actions), allow_nan=False)))
    for one, other in zip(actions, back, strict=True):
        assert_same_action(one, other)


def test_numbers_that_are_not_finite_and_kinds_that_change_come_back():
    actions = [
        np.array([np.nan, 0.1], np.float32),
        np.array([np.inf, -np.inf], np.float32),
        3,
        True,
        np.int64(2),
        np.int32(2),
        (1, np.array(0.1)),
        {"a": np.uint64(2**64 - 1)},
        np.zeros((2, 0)),
    ]
    for some in (actions, actions[:2], actions[2:4], []):
        back = decode_actions(json.loads(json.dumps(encode_actions(some), allow_nan=False)))
        for one, other in zip(some, back, strict=True):
            assert_same_action(one, other)


def test_take_hands_gymnasium_actions_on_as_they_are():
    seen = []

    class Seer(WalkEnv):
        def step(self, action):
            seen.append(action)
            return super().step(int(action))

    env = LoopVectorEnv(Seer, range(2), seed=0)
    observation, out = allocate(env)
    env.reset(observation)
    actions = [np.int32(1), 2]
    env.take(actions, out)
    assert [a is b for a, b in zip(seen, actions, strict=True)] == [True, True]


# --- files -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def capsule():
    return run_into_failure(fault_config()).capsule


def test_nothing_is_overwritten(capsule, tmp_path):
    folder = tmp_path / "run" / "capsules"
    paths = [write_capsule(folder, capsule) for _ in range(3)]
    stem = "capsule_env{env_index}_episode{episode}_step{steps}".format(**capsule)
    assert [path.name for path in paths] == [f"{stem}.json", f"{stem}-2.json", f"{stem}-3.json"]
    assert sorted(folder.iterdir()) == sorted(paths)
    failed = write_capsule(folder, {**capsule, "episode": None})
    assert failed.name == f"capsule_env{capsule['env_index']}_constructor.json"


def test_versions_of_what_matters_are_written(capsule, tmp_path):
    data = through_file(capsule, tmp_path)
    assert {"python", "rlpyt", "torch", "numpy", "gymnasium"} <= set(data["versions"])
    assert data["versions"]["numpy"] == np.__version__
    assert {"platform", "date"} <= set(data)
    assert {key: data[key] for key in capsule} == capsule
    outsider = {**capsule, "env": {**capsule["env"], "id": "safetensors.torch:load"}}
    assert "safetensors" in through_file(outsider, tmp_path)["versions"]
    for env in (None, {"id": "Nobody-v3"}, {"id": {"function": "numpy:zeros"}}, {"id": 3}):
        through_file({**capsule, "env": env}, tmp_path)


def test_where_it_cannot_be_written_the_path_is_told(capsule, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RlpytError, match=r"^ERROR directory: cannot write .*file/capsule_env"):
        write_capsule(tmp_path / "file", capsule)


DAMAGES = {
    "cut short": (lambda text, _data: text[:-40], "is not JSON"),
    "a list": (lambda _text, _data: "[]", "is no crash capsule"),
    "other": (lambda _text, _data: '{"seed": 1}', "is no crash capsule"),
    "newer": (lambda _text, data: {**data, "format": 2}, "format version 2, this rlpyt reads 1"),
    "lacking": (
        lambda _text, data: {k: v for k, v in data.items() if k not in ("seed", "env")},
        "lacks env, seed",
    ),
    "type": (lambda _text, data: {**data, "env_index": "3"}, "says env_index = '3'"),
    "kind": (lambda _text, data: {**data, "kind": "loup"}, "says kind = 'loup'"),
    "stream": (lambda _text, data: {**data, "stream": "X"}, "stream = 'X'"),
    "failure": (lambda _text, data: {**data, "failure": {}}, "does not say what failed"),
    "fewer": (lambda _text, data: {**data, "actions": {"plain": [1]}}, r"has 1 actions of \d"),
    "columns": (lambda _text, data: {**data, "actions": {"plane": []}}, "keys.*plane"),
    "objects": (
        lambda _text, data: {**data, "actions": {**data["actions"], "dtype": "object"}},
        "actions of dtype object",
    ),
    "no dtype": (
        lambda _text, data: {**data, "actions": {**data["actions"], "dtype": "int65"}},
        "actions that cannot be read: .*int65",
    ),
    "words": (
        lambda _text, data: {**data, "actions": {**data["actions"], "values": ["up"]}},
        "actions that cannot be read",
    ),
    "no list": (lambda _text, data: {**data, "actions": {"tuple": 3}}, "expected a list"),
    "deep": (lambda _text, _data: "[" * 100_000, "is not JSON"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_told(name, capsule, tmp_path):
    change, text = DAMAGES[name]
    path = write_capsule(tmp_path, capsule)
    changed = change(path.read_text(), json.loads(path.read_text()))
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    with pytest.raises(RlpytError, match=text) as caught:
        read_capsule(path)
    assert caught.value.code == "capsule"
    assert str(path) in caught.value.what


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(RlpytError, match=r"cannot read .*no\.json: No such file"):
        read_capsule(tmp_path / "no.json")


# --- errors ------------------------------------------------------------------------------------


def test_an_error_keeps_its_capsule_on_the_way_back_from_a_worker_and_does_not_print_it(capsule):
    error = RlpytError("env", "it broke", capsule=capsule)
    assert pickle.loads(pickle.dumps(error)).capsule == capsule
    assert str(error) == str(RlpytError("env", "it broke"))
    assert RlpytError("env", "it broke").capsule is None


def test_the_error_says_how_to_replay(tmp_path):
    error = run_into_failure(fault_config())
    error.add_note("worker 2")
    told = with_capsule(error, tmp_path / "my run")
    (path,) = (tmp_path / "my run").iterdir()
    assert told.hint == f"{error.hint}; replay it with `rlpyt replay-capsule '{path}'`"
    assert (told.code, told.what, told.where) == (error.code, error.what, error.where)
    assert told.capsule == error.capsule
    assert told.__cause__ is error.__cause__
    assert told.__traceback__ is error.__traceback__
    assert told.__notes__ == ["worker 2"]
    assert replay_capsule(read_capsule(path)).reproduced


def test_an_error_without_a_capsule_and_one_without_a_place_for_it(capsule, tmp_path):
    plain = RlpytError("env", "it broke")
    assert with_capsule(plain, tmp_path) is plain
    (tmp_path / "file").touch()
    told = with_capsule(RlpytError("env", "it broke", capsule=capsule), tmp_path / "file")
    assert told.what == "it broke"
    assert "there is no crash capsule: cannot write" in told.hint


def test_without_a_configuration_a_replay_is_not_promised(tmp_path):
    env = LoopVectorEnv(FaultEnv, [2], seed=1)
    error = RlpytError("env", "it broke", capsule=env.capsule(FAILURE, 0))
    told = with_capsule(error, tmp_path)
    assert "replay-capsule" not in told.hint
    assert "its seed and actions are in " in told.hint


def test_a_mistake_in_naming_the_environment_has_no_capsule():
    with pytest.raises(RlpytError) as caught:
        build_vector_env(EnvConfig(id="NoSuchEnv-v0"), range(2), seed=0)
    assert caught.value.capsule is None


def test_a_dead_process_can_be_written_down():
    told = capsule_from_history(
        config_dict(fault_config()),
        env_index=3,
        seed=1,
        stream=Stream.EVAL_ENV,
        episode=4,
        actions=[1, 2, 0],
        failure={"code": DIED, "what": "killed by SIGSEGV", "where": "worker 1"},
    )
    assert told["episode_seed"] == seed_int(1, Stream.EVAL_ENV, 3, 4)
    assert decode_actions(told["actions"]) == [1, 2, 0]
