"""Each deliberately broken environment is found out; sound ones pass without a word."""

import random
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from rich.console import Console

from rlpyt.envs.check import check_env
from rlpyt.envs.check_report import EnvReport, Finding, print_report
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.utils.errors import RlpytError

STEPS = 60


class Walk(gymnasium.Env):
    """A sound environment of 8 steps; each flaw below replaces one thing."""

    def __init__(self):
        self.observation_space = spaces.Box(-10, 10, (2,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        self.steps = 0
        return self.observation(), {}

    def step(self, action):
        self.position = self.position + np.float32(0.1 if action else -0.1)
        self.steps += 1
        return self.observation(), self.reward(), *self.ends(), {}

    def observation(self) -> Any:
        return self.position.copy()

    def reward(self) -> Any:
        return 1.0

    def ends(self) -> tuple[Any, Any]:
        return self.steps >= 8, False


def problems(env: Any, **kwargs: Any) -> list[tuple[str, str]]:
    return [(f.level, f.topic) for f in check_env(env, steps=STEPS, **kwargs).problems]


def only_problem(env: Any, level: str, topic: str) -> str:
    """The text of the one problem there is, which has this level and topic, and a remedy."""
    report = check_env(env, steps=STEPS)
    assert [(f.level, f.topic) for f in report.problems] == [(level, topic)], report.problems
    assert report.ok == (level == "warning")
    assert report.problems[0].mend
    return report.problems[0].what


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "MountainCar-v0"])
def test_gymnasium_passes_clean(env_id):
    report = check_env(env_id)
    assert report.problems == []
    assert report.ok
    assert report.picklable
    assert report.action_space == gymnasium.make(env_id).action_space
    assert 0 < report.step_time_p50 <= report.step_time_p99
    assert report.reset_time > 0
    assert sum(report.episode_lengths) <= 1000
    assert {f.topic for f in report.findings} >= {"observation", "determinism", "ends", "close"}


def test_sound_toy_and_facts():
    report = check_env(Walk, steps=STEPS)
    assert report.problems == []
    assert report.episode_lengths == [8] * 7
    assert report.env.endswith("test_env_check:Walk")


class NanObservation(Walk):
    def observation(self):
        value = super().observation()
        value[1] = np.nan if self.steps == 3 else 0
        return value


def test_nan_observation():
    assert "observation[1] = nan" in only_problem(NanObservation, "error", "observation")


class WrongShape(Walk):
    def observation(self):
        return np.zeros(3, np.float32) + self.position[0]


def test_wrong_shape():
    what = only_problem(WrongShape, "error", "observation")
    assert "(3,)" in what
    assert "(2,)" in what


class WrongDtype(Walk):
    def observation(self):
        return self.position.astype(np.float64)


def test_wrong_dtype():
    what = only_problem(WrongDtype, "error", "observation")
    assert "float64" in what
    assert "float32" in what


class NarrowDtype(Walk):
    def observation(self):
        return self.position.astype(np.float16)


def test_castable_dtype_is_a_warning():
    assert "float16" in only_problem(NarrowDtype, "warning", "observation")


class OutOfBounds(Walk):
    def observation(self):
        return self.position - np.float32(20 * (self.steps == 5))


def test_out_of_bounds():
    assert "below its bound -10.0" in only_problem(OutOfBounds, "error", "observation")


class DiscreteOutOfRange(Walk):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Discrete(8, start=1)

    def observation(self):
        return self.steps + int(self.position[0] > 0)


def test_discrete_out_of_range():
    assert "bound" in only_problem(DiscreteOutOfRange, "error", "observation")


class Nested(Walk):
    def __init__(self):
        super().__init__()
        inner = spaces.Tuple([spaces.Discrete(9), spaces.MultiBinary(2)])
        box = spaces.Box(-10, 10, (2,), np.float32)
        self.observation_space = spaces.Dict({"body": box, "rest": inner})

    def observation(self):
        bits = (self.position > 0).astype(np.int8)
        return {"body": self.position.copy(), "rest": (self.steps, bits)}


class MissingKey(Nested):
    def observation(self):
        return {"rest": super().observation()["rest"]}


class BadInnerLeaf(Nested):
    def observation(self):
        value = super().observation()
        return {**value, "rest": (value["rest"][0], np.int8([2, 0]))}


def test_nested_observations():
    assert problems(Nested) == []
    what = only_problem(MissingKey, "error", "observation")
    assert "body" in what
    what = only_problem(BadInnerLeaf, "error", "observation")
    assert "observation['rest'][1][0] = 2" in what


@pytest.mark.parametrize(
    ("value", "level", "text"),
    [
        (float("nan"), "error", "nan"),
        (np.float32(np.inf), "error", "inf"),
        (1e39, "error", "float32"),
        (np.ones(1), "error", "shape (1,)"),
        (None, "error", "NoneType"),
        (1j, "error", "complex"),
        (True, "warning", "bool"),
        (np.bool_(True), "warning", "bool"),
        (np.array(1.0), "warning", "shape ()"),
    ],
)
def test_reward(monkeypatch, value, level, text):
    monkeypatch.setattr(Walk, "reward", lambda self: value)
    assert text in only_problem(Walk, level, "reward")


@pytest.mark.parametrize("value", [1, 1.5, np.float64(2), np.int64(3), -1e38])
def test_real_rewards_pass(monkeypatch, value):
    monkeypatch.setattr(Walk, "reward", lambda self: value)
    assert problems(Walk) == []


@pytest.mark.parametrize("which", [0, 1])
def test_ends_that_are_no_bools(monkeypatch, which):
    def ends(self):
        flags: list[Any] = [self.steps >= 8, False]
        flags[which] = int(flags[which])
        return tuple(flags)

    monkeypatch.setattr(Walk, "ends", ends)
    assert ("terminated", "truncated")[which] in only_problem(Walk, "error", "ends")


def test_both_ends_at_once(monkeypatch):
    monkeypatch.setattr(Walk, "ends", lambda self: (self.steps >= 8, self.steps >= 8))
    assert "both true after 8 steps" in only_problem(Walk, "warning", "ends")


def test_termination_in_the_last_allowed_step_is_no_problem():
    assert problems(_limited_walk, env_kwargs={"limit": 8}) == []


class Endless(Walk):
    def ends(self):
        return False, False


def _limited_walk(limit: int) -> gymnasium.Env:
    return TimeLimit(Endless() if limit > 8 else Walk(), limit)


def test_endless_episode():
    assert "no episode ended within 60 steps" in only_problem(Endless, "warning", "ends")


def test_a_time_limit_beyond_the_steps_is_no_problem():
    report = check_env(_limited_walk, {"limit": 500}, steps=STEPS)
    assert report.problems == []
    assert report.episode_lengths == []


class GlobalRandom(Walk):
    def step(self, action):
        self.position = self.position + np.float32(random.random() / 10)
        return super().step(action)


class SharedBetweenInstances(Walk):
    count = 0

    def reward(self):
        SharedBetweenInstances.count += 1
        return float(SharedBetweenInstances.count)


class IgnoresSeed(Walk):
    def reset(self, *, seed=None, options=None):
        super().reset()
        self.np_random, _ = gymnasium.utils.seeding.np_random(None)
        self.position = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.observation(), {}


@pytest.mark.parametrize("env", [GlobalRandom, SharedBetweenInstances, IgnoresSeed])
def test_nondeterminism(env):
    what = only_problem(env, "error", "determinism")
    assert "episode 0" in what


class SurvivesReset(Walk):
    def __init__(self):
        super().__init__()
        self.total = 0

    def reward(self):
        self.total += 1
        return float(self.total)


def test_something_survives_reset():
    what = only_problem(SurvivesReset, "warning", "determinism")
    assert "used instance" in what
    assert "reward" in what


def test_registered_as_nondeterministic_is_a_warning():
    gymnasium.register("GlobalRandomCheck-v0", GlobalRandom, nondeterministic=True)
    try:
        only_problem("GlobalRandomCheck-v0", "warning", "determinism")
    finally:
        del gymnasium.registry["GlobalRandomCheck-v0"]


class SeedMakesNoDifference(Walk):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=1)


def test_seed_makes_no_difference():
    assert "seeds" in only_problem(SeedMakesNoDifference, "warning", "seed")


class ChanceOnlyInSteps(Walk):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = np.zeros(2, np.float32)
        return self.observation(), {}

    def step(self, action):
        self.position = self.position + np.float32(self.np_random.random())
        return super().step(action)


def test_seed_may_show_in_steps_only():
    assert problems(ChanceOnlyInSteps) == []


class Aliasing(Walk):
    def __init__(self):
        super().__init__()
        self.buffer = np.zeros(2, np.float32)

    def observation(self):
        self.buffer[:] = self.position
        return self.buffer


class AliasingInDict(Nested):
    def __init__(self):
        super().__init__()
        self.buffer = np.zeros(2, np.float32)

    def observation(self):
        self.buffer[:] = self.position
        return {**super().observation(), "body": self.buffer[:]}


def test_aliasing():
    only_problem(Aliasing, "warning", "aliasing")
    assert "observation['body']" in only_problem(AliasingInDict, "warning", "aliasing")


class ChangesAction(Walk):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def step(self, action):
        action *= 0.5
        return super().step(action[0] > 0)


def test_changed_action():
    only_problem(ChangesAction, "warning", "action")


class RaisesInInit(Walk):
    def __init__(self):
        raise ValueError("no display")


class RaisesInReset(Walk):
    def reset(self, *, seed=None, options=None):
        raise KeyError("level")


class RaisesInStep(Walk):
    def step(self, action):
        if self.steps == 4:
            raise ZeroDivisionError("in physics")
        return super().step(action)


class ExitsInStep(Walk):
    def step(self, action):
        raise SystemExit(3)


class RaisesInClose(Walk):
    def close(self):
        raise OSError("socket gone")


@pytest.mark.parametrize(
    ("env", "topic", "text"),
    [
        (RaisesInInit, "construct", "ValueError: no display"),
        (RaisesInReset, "reset", "KeyError: 'level'"),
        (RaisesInStep, "step", "ZeroDivisionError: in physics"),
        (ExitsInStep, "step", "SystemExit: 3"),
        (RaisesInClose, "close", "OSError: socket gone"),
    ],
)
def test_an_environment_that_raises(env, topic, text):
    what = only_problem(env, "error", topic)
    assert text in what
    assert "test_env_check.py:" in what


def test_what_was_made_is_closed_even_when_step_raises(monkeypatch):
    closed = []
    monkeypatch.setattr(RaisesInStep, "close", lambda self: closed.append(self))
    check_env(RaisesInStep, steps=STEPS)
    assert len(closed) == 2


class OldReset(Walk):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class OldStep(Walk):
    def step(self, action):
        observation, reward, terminated, _truncated, info = super().step(action)
        return observation, reward, terminated, info


class NoInfo(Walk):
    def step(self, action):
        return *super().step(action)[:4], None


def test_old_api():
    assert "expected (observation, info)" in only_problem(OldReset, "error", "reset")
    assert "returned 4 values" in only_problem(OldStep, "error", "step")
    assert "NoneType" in only_problem(NoInfo, "error", "step")


class NoSpaces(Walk):
    def __init__(self):
        pass


class TextSpace(Walk):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Dict({"text": spaces.Text(5)})


class BadKey(Walk):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Dict({"front camera": spaces.Discrete(2)})


class SpaceIsAClass(Walk):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.Discrete


class Complex(Walk):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(-1, 1, (2,), np.longdouble)


@pytest.mark.parametrize(
    ("env", "text"),
    [
        (NoSpaces, "observation_space"),
        (TextSpace, "Text"),
        (BadKey, "front camera"),
        (SpaceIsAClass, "expected a gymnasium space"),
        (Complex, "longdouble"),
    ],
)
def test_spaces_without_support(env, text):
    assert text in only_problem(env, "error", "spaces")


class Unbounded(Walk):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.Dict({"push": spaces.Box(-np.inf, 1, (1,))})

    def step(self, action):
        return super().step(action["push"][0] > 0)


def test_unbounded_action():
    assert "push" in only_problem(Unbounded, "warning", "spaces")


class Masked(Walk):
    """Forbids the last option of each choice, and insists on it."""

    def __init__(self, action: str = "discrete", flaw: str = ""):
        super().__init__()
        self.flaw = flaw
        self.action_space = {
            "discrete": spaces.Discrete(3, start=5),
            "choices": spaces.MultiDiscrete([2, 3]),
            "bits": spaces.MultiBinary(3),
            "box": spaces.Box(-1, 1, (3,)),
        }[action]
        self.allowed = np.array(
            {
                "discrete": [1, 1, 0],
                "choices": [1, 0, 1, 1, 0],
                "bits": [1, 1, 0],
                "box": [1, 1, 0],
            }[action],
            dtype=np.int8,
        )
        n = len(self.allowed) - (flaw == "short")
        self.observation_space = spaces.Dict(
            {
                "position": spaces.Box(-10, 10, (2,), np.float32),
                "action_mask": spaces.MultiBinary(n),
            }
        )

    def observation(self):
        mask = self.allowed.copy()
        if self.flaw == "nothing" and self.steps == 3:
            mask[-3:] = 0
        if self.flaw == "short":
            mask = mask[:-1]
        return {"position": self.position.copy(), "action_mask": mask}

    def step(self, action):
        if not self.flaw and not isinstance(self.action_space, spaces.Box):
            assert self.action_space.contains(action)
            forbidden = {"Discrete": 7, "MultiDiscrete": (1, 2), "MultiBinary": (9, 9, 1)}
            assert not np.any(np.equal(action, forbidden[type(self.action_space).__name__]))
        return super().step(True)


@pytest.mark.parametrize("action", ["discrete", "choices", "bits"])
def test_masks_are_respected(action):
    report = check_env(Masked, {"action": action}, steps=STEPS)
    assert "action_mask" in {f.topic for f in report.findings if f.level == "ok"}
    assert report.problems == []


@pytest.mark.parametrize("action", ["discrete", "choices", "bits"])
def test_mask_of_the_wrong_length(action):
    report = check_env(Masked, {"action": action, "flaw": "short"}, steps=STEPS)
    assert [(f.level, f.topic) for f in report.problems] == [("error", "action_mask")]
    assert "entries" in report.problems[0].what


@pytest.mark.parametrize("action", ["discrete", "choices"])
def test_mask_that_allows_nothing(action):
    report = check_env(Masked, {"action": action, "flaw": "nothing"}, steps=STEPS)
    assert [(f.level, f.topic) for f in report.problems] == [("error", "action_mask")]
    assert "none of the 3 options" in report.problems[0].what


class MaskDrawnInSteps(Masked):
    """Every seed starts alike; then each allows another one of three actions, and no other."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = np.zeros(2, np.float32)
        self.allowed = np.ones(3, np.int8)
        return self.observation(), {}

    def step(self, action):
        assert self.allowed[action - 5]
        self.allowed = np.eye(3, dtype=np.int8)[self.np_random.integers(3)]
        self.flaw = "none that the base class knows"
        return super().step(action)


def test_masked_actions_are_not_taken_under_another_seed():
    assert problems(MaskDrawnInSteps) == []


def test_mask_for_a_box():
    assert problems(Masked, env_kwargs={"action": "box"}) == [("warning", "action_mask")]


def test_callable_that_cannot_be_pickled():
    assert "cannot be sent" in only_problem(lambda: Walk(), "error", "pickle")
    assert not check_env(lambda: Walk(), steps=STEPS).picklable


def test_arguments_that_cannot_be_pickled():
    report = check_env(_with_function, {"function": lambda: 1}, steps=STEPS)
    assert [(f.level, f.topic) for f in report.problems] == [("error", "pickle")]
    assert report.episode_lengths  # the rest was looked at all the same


def _with_function(function: Any) -> gymnasium.Env:
    return Walk()


def test_the_same_object_twice():
    env = Walk()
    report = check_env(lambda: env, steps=STEPS)
    assert ("error", "construct") in {(f.level, f.topic) for f in report.problems}


class Stateful(Walk):
    def get_state(self):
        return {
            "position": self.position.copy(),
            "steps": self.steps,
            "rng": self.np_random.bit_generator.state,
        }

    def set_state(self, state):
        self.position = state["position"].copy()
        self.steps = state["steps"]
        self.np_random.bit_generator.state = state["rng"]


class StatefulAcrossEpisodes(Stateful):
    def __init__(self):
        super().__init__()
        self.total = 0

    def reward(self):
        self.total += 1
        return float(self.total)

    def get_state(self):
        return {**super().get_state(), "total": self.total}

    def set_state(self, state):
        super().set_state(state)
        self.total = state["total"]


class ForgetsPosition(Stateful):
    def set_state(self, state):
        super().set_state({**state, "position": np.zeros(2, np.float32)})


class ForgetsLateChange(Stateful):
    def reset(self, *, seed=None, options=None):
        self.bonus = 0.0
        return super().reset(seed=seed)

    def reward(self):
        self.bonus += self.steps > 6
        return self.bonus


class LiveState(Stateful):
    def step(self, action):
        self.position += np.float32(0.25)
        return super().step(action)

    def get_state(self):
        return vars(self)

    def set_state(self, state):
        self.__dict__.update(state)


class UnsavableState(Stateful):
    def get_state(self):
        return {**super().get_state(), "self": [object()]}


class RaisesInSetState(Stateful):
    def set_state(self, state):
        raise NotImplementedError


def test_state_round_trip():
    assert problems(Stateful) == []
    assert problems(StatefulAcrossEpisodes) == []  # its state says what survives a reset
    assert "state" in {f.topic for f in check_env(Stateful, steps=STEPS).findings}
    assert "state" not in {f.topic for f in check_env(Walk, steps=STEPS).findings}


@pytest.mark.parametrize(
    ("env", "text"),
    [
        (ForgetsPosition, "goes another way in observation"),
        (ForgetsLateChange, "goes another way in reward"),
        (UnsavableState, "state['self'][0] of type object"),
        (RaisesInSetState, "NotImplementedError"),
    ],
)
def test_bad_state(env, text):
    assert text in only_problem(env, "error", "state")


def test_state_under_a_time_limit():
    report = check_env(_limited_stateful, steps=STEPS)
    assert [(f.level, f.topic) for f in report.problems] == [("error", "state")]


def _limited_stateful() -> gymnasium.Env:
    return TimeLimit(OrderEnforcing(ForgetsPosition()), 7)


def test_a_state_that_no_sampler_would_use_is_not_judged():
    """Samplers step what is below one time limit; below two they take actions again."""
    report = check_env(_twice_limited_stateful, steps=STEPS)
    assert "state" not in {finding.topic for finding in report.findings}
    saved = []
    for make in (_limited_stateful, _twice_limited_stateful):
        env = LoopVectorEnv(make, [0], seed=0)
        env.reset(np.zeros((1, *env.spaces.observation.shape), np.float32))
        saved += env.state_dict()["envs"]
    assert ["own" in each for each in saved] == [True, False]


def _twice_limited_stateful() -> gymnasium.Env:
    return TimeLimit(_limited_stateful(), 5)


def test_live_state_is_found_out():
    found = [f.what for f in check_env(LiveState, steps=STEPS).problems]
    assert any("goes another way" in what for what in found)


def test_unknown_id_and_bad_steps():
    report = check_env("CartPol-v1")
    assert [(f.level, f.topic) for f in report.problems] == [("error", "construct")]
    assert "CartPole-v1" in report.problems[0].mend
    with pytest.raises(RlpytError, match="steps=0 must be at least 1"):
        check_env("CartPole-v1", steps=0)


def test_the_same_flaw_is_told_once():
    report = EnvReport(env="x")
    for step in range(3):
        report.add(Finding(level="error", topic="reward", what=f"nan at {step}", mend="look"))
    assert [f.what for f in report.findings] == ["nan at 0"]
    report.add_ok("reward", "fine")
    report.add_ok("ends", "fine")
    assert [f.topic for f in report.findings] == ["reward", "ends"]


def test_print_report():
    text = _printed(check_env(WrongShape, steps=STEPS))
    lines = text.splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("error"))
    assert "observation has shape (3,)" in lines[row]
    assert lines[row + 1].strip().startswith("mend: make the shape")
    assert lines[-1] == "1 error."
    assert "step time" in text
    assert _printed(check_env(Walk, steps=STEPS)).rstrip().endswith("No problem found.")
    odd = EnvReport(env="[red]x")
    odd.add(Finding(level="warning", topic="t", what="[bold]w", mend="[/m]"))
    assert "[red]x" in _printed(odd)
    assert "1 warning." in _printed(odd)


def _printed(report: EnvReport) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        print_report(report, console)
    return capture.get().rstrip()
