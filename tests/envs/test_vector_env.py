"""The env edge: one auto-reset meaning, courses that depend on seed and actions, checked values."""

import copy
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from env_fakes import (
    SPACES,
    OpaqueWrapper,
    SampleEnv,
    ScriptEnv,
    WalkEnv,
    allocate,
    assert_same_course,
    assert_same_tree,
    copy_tree,
    expected_tree,
    plain_course,
    roll,
)
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from rlpyt.data import EnvStep
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.spaces import example_of
from rlpyt.envs.vector import StatefulEnv
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

T = 40


def started(make: Any = WalkEnv, indices: Any = range(4), *, seed: int = 3, **kwargs: Any):
    """A vector environment after its reset, its first observation and room for a step."""
    env = LoopVectorEnv(make, indices, seed=seed, **kwargs)
    observation, out = allocate(env)
    env.reset(observation)
    return env, observation, out


def random_actions(T: int, B: int, n: int = 3) -> Any:
    return np.random.default_rng(0).integers(n, size=(T, B))


# --- auto-reset --------------------------------------------------------------------------------


def test_the_course_is_that_of_each_environment_reset_by_hand():
    env, observation, out = started()
    actions = random_actions(T, 4)
    steps = roll(env, actions, out)
    n_ended = 0
    for i in range(4):
        first, expected = plain_course(WalkEnv, i, actions[:, i], seed=3)
        assert_same_tree(observation[i], first)
        for step, wanted in zip(steps, expected, strict=True):
            assert_same_tree(step.observation[i], wanted["observation"])
            assert step.reward[i] == np.float32(wanted["reward"])
            assert step.terminated[i] == wanted["terminated"]
            assert step.truncated[i] == wanted["truncated"]
            if wanted["final_observation"] is not None:
                n_ended += 1
                assert_same_tree(step.final_observation[i], wanted["final_observation"])
    assert n_ended > 8


def test_the_end_of_an_episode_by_example():
    env, observation, out = started(partial(ScriptEnv, (2, 1)), [0])
    assert observation.tolist() == [[0, 0, 0]]
    valid = env.step(np.array([0]), out)
    assert valid is None
    assert out.observation.tolist() == [[0, 1, 1]]
    assert (out.reward.tolist(), out.terminated.tolist(), out.truncated.tolist()) == (
        [1],
        [False],
        [False],
    )
    assert np.isnan(out.final_observation).all()
    env.step(np.array([1]), out)
    assert out.final_observation.tolist() == [[0, 2, 3]]
    assert out.observation.tolist() == [[1, 0, 0]]
    assert (out.terminated.tolist(), out.truncated.tolist()) == ([False], [True])
    env.step(np.array([2]), out)
    assert out.final_observation.tolist() == [[1, 1, 3]]
    assert out.observation.tolist() == [[2, 0, 0]]
    assert (out.terminated.tolist(), out.truncated.tolist()) == ([True], [False])
    assert out.reward.tolist() == [11]


@pytest.mark.parametrize("wrap", [lambda env: env, gymnasium.wrappers.OrderEnforcing])
def test_a_time_limit_taken_off_gives_the_course_of_the_wrapper(wrap):
    def limited():
        return TimeLimit(wrap(WalkEnv(end=0.05, cut=0.0)), 7)

    def hidden():
        return OpaqueWrapper(limited())

    actions = random_actions(3 * T, 4)
    taken_off, _, out = started(limited)
    kept, _, other_out = started(hidden)
    one, other = roll(taken_off, actions, out), roll(kept, actions, other_out)
    assert_same_course(one, other)
    cut = np.array([step.truncated for step in one])
    assert cut.any()
    assert np.array([step.terminated & ~step.truncated for step in one]).any()
    assert env_lengths(one).max() == 7


def env_lengths(steps: list[EnvStep]) -> Any:
    done = np.array([step.terminated | step.truncated for step in steps])
    return np.concatenate([np.diff(np.flatnonzero(column), prepend=-1) for column in done.T])


def test_the_end_at_the_limit_is_both_terminated_and_truncated_as_in_gymnasium():
    def make():
        return TimeLimit(ScriptEnv((3, 3)), 3)

    env, _, out = started(make, [0])
    for _ in range(5):
        env.step(np.array([0]), out)
    assert not out.terminated[0]
    env.step(np.array([0]), out)  # the second episode terminates at its time limit
    assert out.terminated[0]
    assert out.truncated[0]


# --- seeds -------------------------------------------------------------------------------------


def test_an_environment_alone_is_as_among_others():
    actions = random_actions(T, 8)
    all_eight, first, out = started(indices=range(8))
    alone, first_alone, out_alone = started(indices=[5])
    assert_same_tree(first[5:6], first_alone)
    some, _, out_some = started(indices=[5, 2])
    everything = roll(all_eight, actions, out)
    assert_same_course(roll(alone, actions[:, 5:6], out_alone), everything, [5])
    assert_same_course(roll(some, actions[:, [5, 2]], out_some), everything, [5, 2])


def test_every_episode_has_its_own_seed_by_stream_index_and_number():
    made: list[WalkEnv] = []

    def make():
        made.append(WalkEnv(end=0.5))
        return made[-1]

    env, observation, out = started(make, [4, 9], stream=Stream.EVAL_ENV)
    roll(env, random_actions(10, 2), out)
    for fake, index in zip(made, (4, 9), strict=True):
        assert len(fake.seeds) > 2
        assert fake.seeds == [
            seed_int(3, Stream.EVAL_ENV, index, episode) for episode in range(len(fake.seeds))
        ]
    env.reset(observation, first_episode=70)
    assert made[0].seeds[-1] == seed_int(3, Stream.EVAL_ENV, 4, 70)
    env.reset(observation)
    assert made[1].seeds[-1] == seed_int(3, Stream.EVAL_ENV, 9, 0)


def test_other_seeds_other_courses():
    _, first, _ = started(seed=0)
    _, second, _ = started(seed=1)
    assert (first != second).all()


# --- spaces ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_every_observation_space(name):
    made: list[SampleEnv] = []

    def make():
        made.append(SampleEnv(copy.deepcopy(SPACES[name])))
        return made[-1]

    env, observation, out = started(make, range(2))
    fakes = made[-2:]
    assert env.spaces.observation == SPACES[name]
    found = [(observation, None), *((s.observation, s) for s in roll(env, [[0, 1]] * 7, out))]
    for i, fake in enumerate(fakes):
        returned = iter(fake.returned)
        for tree, step in found:
            if step is not None and step.terminated[i]:
                last = expected_tree(SPACES[name], next(returned))
                assert_same_tree(take(step.final_observation, i), last)
            assert_same_tree(take(tree, i), expected_tree(SPACES[name], next(returned)))
        assert next(returned, None) is None


def take(tree: Any, i: int) -> Any:
    """Row ``i``, as arrays also where a leaf is a single number."""
    return copy_tree(buffer_map(lambda leaf: np.asarray(leaf[i]), tree))


@pytest.mark.parametrize("name", SPACES)
def test_every_action_space(name):
    made: list[SampleEnv] = []

    def make():
        made.append(SampleEnv(spaces.Discrete(2), SPACES[name]))
        return made[-1]

    env, _, out = started(make, range(2))
    space = copy.deepcopy(SPACES[name])
    space.seed(0)
    wanted = [[space.sample() for _ in range(2)] for _ in range(4)]
    for row in wanted:
        env.step(stack([expected_tree(space, action) for action in row]), out)
    for i, fake in enumerate(made):
        for given, row in zip(fake.actions, wanted, strict=True):
            assert_same_tree(expected_tree(space, given), expected_tree(space, row[i]))


def stack(trees: list[Any]) -> Any:
    return buffer_map(lambda *arrays: np.stack(arrays), *trees)


def test_box_actions_are_clipped_for_the_environment_only():
    made: list[SampleEnv] = []

    def make():
        made.append(
            SampleEnv(spaces.Discrete(2), spaces.Dict(x=spaces.Box(-1, 1, (2,), np.float32)))
        )
        return made[-1]

    env, _, out = started(make, [0])
    tree = stack([type(example_of(env.spaces.action))(np.array([-3.0, 0.5], np.float32))])
    env.step(tree, out)
    assert made[0].actions[0]["x"].tolist() == [-1, 0.5]
    assert tree.x.tolist() == [[-3, 0.5]]


def test_an_observation_changed_in_place_later_is_no_matter():
    class InPlaceEnv(WalkEnv):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.position, {}

        def step(self, action):
            return self.position, *super().step(action)[1:]

    env, observation, _ = started(InPlaceEnv, [0])
    before = observation.copy()
    _, out = allocate(env)
    env.step(np.array([2]), out)
    np.testing.assert_array_equal(observation, before)
    assert (out.observation != before).all()


# --- info --------------------------------------------------------------------------------------


def test_named_leaves_of_info_are_recorded_and_others_are_not():
    env = LoopVectorEnv(WalkEnv, range(3), seed=3, info_keys=("first", "push", "absent"))
    cls = namedarraytuple("EnvInfo", ("first", "push", "absent"))
    observation, out = allocate(env, cls(0.0, 0.0, 0.0))
    env.reset(observation)
    actions = random_actions(T, 3)
    with pytest.warns(UserWarning, match=r"no info had \['absent'\]"):
        steps = roll(env, actions, out)
    for i in range(3):
        _, expected = plain_course(WalkEnv, i, actions[:, i], seed=3)
        for step, wanted in zip(steps, expected, strict=True):
            assert step.env_info.first[i] == np.float32(wanted["info"]["first"])
            assert step.env_info.push[i] == wanted["info"]["push"]
            assert step.env_info.absent[i] == 0


def test_an_info_that_is_no_number_is_told_by_name():
    class Words(WalkEnv):
        def step(self, action):
            observation, reward, terminated, truncated, _ = super().step(action)
            return observation, reward, terminated, truncated, {"word": "yes"}

    cls = namedarraytuple("EnvInfo", ("word",))
    env = LoopVectorEnv(Words, [4], seed=0, info_keys=("word",))
    observation, out = allocate(env, cls(0.0))
    env.reset(observation)
    with pytest.raises(
        RlpytError, match=r"env 4 returned info\['word'\] = 'yes', expected a number"
    ):
        roll(env, random_actions(1, 1), out)


def test_a_mask_that_allows_nothing_is_an_error():
    class Stuck(MaskEnv):
        def step(self, action):
            observation, *rest = super().step(action)
            return {**observation, "action_mask": observation["action_mask"] * 0}, *rest

    env, observation, out = started(partial(Stuck, spaces.Discrete(3), 3), [0])
    action = random_actions(1, 1) * 0 + observation.action_mask.argmax()
    with pytest.raises(RlpytError, match=r"action_mask that allows no action .*step 1"):
        roll(env, action, out)


# --- errors ------------------------------------------------------------------------------------


class BrokenEnv(WalkEnv):
    """Returns ``bad`` from reset or step, at step ``at``, as the observation or the reward."""

    def __init__(self, bad: Any, *, field: str = "observation", at: int = 2, space: Any = None):
        super().__init__(end=0, cut=0)
        self.bad, self.field, self.at = bad, field, at
        self.observation_space = self.observation_space if space is None else space

    def _good(self) -> Any:
        return self.observation_space.sample()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.bad if self.at == 0 else self._good(), {}

    def step(self, action):
        self.t += 1
        is_bad = self.t == self.at
        observation = self.bad if is_bad and self.field == "observation" else self._good()
        reward = self.bad if is_bad and self.field == "reward" else 0.0
        return observation, reward, False, False, {}


VECTOR = spaces.Box(-9, 9, (3,), np.float32)
DICT = spaces.Dict(a=spaces.Discrete(3), b=VECTOR)
GOOD = np.zeros(3, np.float32)
ONE_NAN = np.array([0, np.nan, 0], np.float32)

BAD_OBSERVATIONS = {
    "nan": (VECTOR, ONE_NAN, r"env 7 returned observation\[1\] = nan, expected a finite number"),
    "inf": (VECTOR, GOOD + np.float32(np.inf), r"env 7 returned observation\[0\] = inf"),
    "nan_in_dict": (
        DICT,
        {"a": 0, "b": ONE_NAN},
        r"env 7 returned observation\.b\[1\] = nan, expected a finite number",
    ),
    "shape": (
        VECTOR,
        np.zeros(4, np.float32),
        r"env 7 returned observation of shape \(4,\), its space says \(3,\)",
    ),
    "dtype": (
        VECTOR,
        np.zeros(3),
        r"env 7 returned observation of dtype float64, its space says float32 .* - return it with",
    ),
    "objects": (VECTOR, None, r"env 7 returned observation of dtype object, its space says float"),
    "shape_in_dict": (
        DICT,
        {"a": 0, "b": np.zeros(2, np.float32)},
        r"env 7 returned observation\['b'\] of shape \(2,\), its space says \(3,\)",
    ),
    "missing_key": (
        DICT,
        {"a": 0},
        r"env 7 returned observation with the keys \['a'\], its space says \['a', 'b'\]",
    ),
    "extra_key": (
        DICT,
        {"a": 0, "b": GOOD, "c": 1},
        r"env 7 returned observation with the keys \['a', 'b', 'c'\], its space says \['a', 'b'\]",
    ),
    "out_of_range": (
        spaces.Discrete(3, start=2),
        np.int64(5),
        r"env 7 returned observation = 5, its space says 2 to 4",
    ),
    "too_short_a_tuple": (
        spaces.Tuple([VECTOR, VECTOR]),
        (GOOD,),
        r"env 7 returned observation with the keys \['0'\], its space says \['0', '1'\]",
    ),
}


def fails(make: Any, *, n_steps: int = 3, indices: Any = (7,)) -> RlpytError:
    """The error that this environment makes, which must be one readable line."""

    def run():
        env, _, out = started(make, indices)
        roll(env, np.zeros((n_steps, len(indices)), np.int64), out)

    with pytest.raises(RlpytError) as caught:
        run()
    error = caught.value
    assert error.code == "env"
    assert "\n" not in str(error)
    return error


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("name", BAD_OBSERVATIONS)
def test_a_bad_observation_is_told_with_env_field_expected_and_found(name, at):
    space, bad, text = BAD_OBSERVATIONS[name]
    error = fails(partial(BrokenEnv, bad, at=at, space=space))
    with pytest.raises(RlpytError, match=text):
        raise error
    assert f"episode 0, step {at}, episode seed {seed_int(3, Stream.ENV, 7, 0)}" in error.where


BAD_REWARDS = {
    "nan": (np.nan, r"env 7 returned reward = nan, expected a finite number"),
    "inf": (-np.inf, r"env 7 returned reward = -inf, expected a finite number"),
    "array": (
        np.zeros(2),
        r"env 7 returned reward of shape \(2,\), expected one real number - return float\(reward\)",
    ),
    "none": (None, r"env 7 returned reward of NoneType, expected one real number"),
    "text": ("one", r"env 7 returned reward of str, expected one real number"),
    "complex": (1j, r"env 7 returned reward of complex, expected one real number"),
    "list": ([1.0, 2.0], r"env 7 returned reward of shape \(2,\), expected one real number"),
}


@pytest.mark.parametrize("indices", [(7,), (4, 7)], ids=str)
@pytest.mark.parametrize("name", BAD_REWARDS)
def test_a_bad_reward_is_told_with_env_expected_and_found(name, indices):
    bad, text = BAD_REWARDS[name]
    made = iter([WalkEnv(0, 0), BrokenEnv(bad, field="reward")][-len(indices) :])
    error = fails(lambda: next(made), indices=indices)
    with pytest.raises(RlpytError, match=text):
        raise error


@pytest.mark.parametrize("indices", [(7,), (4, 7)], ids=str)
@pytest.mark.parametrize("bad", [np.ones(1), [1.0]], ids=str)
def test_a_reward_of_one_number_in_an_array(bad, indices):
    made = iter([WalkEnv(0, 0), BrokenEnv(bad, field="reward")][-len(indices) :])
    error = fails(lambda: next(made), indices=indices)
    assert "env 7 returned reward of shape (1,), expected one real number" in error.what


class RaisingEnv(WalkEnv):
    """Raises in one of its methods."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place
        if place == "constructor":
            raise KeyError("no such level")

    def reset(self, *, seed=None, options=None):
        if self.place == "reset":
            raise KeyError("no such level")
        return super().reset(seed=seed)

    def step(self, action):
        if self.place == "step" and self.n_steps == 2:
            raise KeyError("no such level")
        return super().step(action)


@pytest.mark.parametrize("place", ["constructor", "reset", "step"])
def test_what_an_environment_raises_is_told_with_its_line_and_kept_as_the_cause(place):
    error = fails(partial(RaisingEnv, place))
    assert f"env 7 raised KeyError in {'its ' * (place == 'constructor')}{place}" in error.what
    assert "no such level" in error.what
    assert f"{__file__}:" in error.where
    assert isinstance(error.__cause__, KeyError)
    if place == "step":
        assert "step 2, episode seed" in error.where


class FailsAtSecondResetEnv(ScriptEnv):
    """Its second episode cannot start."""

    def reset(self, *, seed=None, options=None):
        if self.episode == 0:
            raise OSError("disk full")
        return super().reset(seed=seed)


def test_an_environment_that_fails_at_its_second_reset():
    error = fails(partial(FailsAtSecondResetEnv, (1,)))
    assert "env 7 raised OSError in reset: disk full" in error.what
    assert "episode 1, step 0" in error.where


def test_the_environments_own_rlpyt_error_keeps_code_and_hint():
    class Fails(WalkEnv):
        def reset(self, *, seed=None, options=None):
            raise RlpytError("env", "a license is missing", hint="get one")

    error = fails(Fails)
    assert "a license is missing" in error.what
    assert error.hint == "get one"


# --- state -------------------------------------------------------------------------------------


def continued(make: Any, actions: Any, save_at: int, **kwargs: Any) -> None:
    """Saved and loaded in the middle, the course goes on as if nothing had happened."""
    env, _, out = started(make, **kwargs)
    roll(env, actions[:save_at], out)
    state = env.state_dict()
    kept = copy.deepcopy(state)
    expected = roll(env, actions[save_at:], out)
    again, _, out = started(make, **kwargs)
    roll(again, actions[:2], out)
    again.load_state_dict(state)
    assert_same_course(expected, roll(again, actions[save_at:], out))
    np.testing.assert_equal(state, kept)


@pytest.mark.parametrize("save_at", [0, 1, 17])
def test_loaded_in_the_middle_of_episodes_it_continues_exactly(save_at):
    continued(partial(WalkEnv, 0.05, 0.05), random_actions(T, 4), save_at)


def test_a_time_limit_continues_where_it_was():
    continued(lambda: TimeLimit(WalkEnv(0.02, 0), 9), random_actions(T, 4), 22)


@pytest.mark.parametrize("name", ["box", "multi_discrete_start", "multi_binary", "nested"])
def test_actions_of_every_kind_are_replayed(name):
    space = copy.deepcopy(SPACES[name])
    space.seed(0)
    actions = [stack([expected_tree(space, space.sample()) for _ in range(2)]) for _ in range(T)]
    continued(partial(WalkEnv, 0.03, 0.03, space), actions, 23, indices=range(2))


def test_waiting_environments_still_wait_after_loading():
    env, _, out = started(partial(ScriptEnv, (2, 9)), range(2), auto_reset=False)
    roll(env, np.zeros((3, 2), np.int64), out)
    state = env.state_dict()
    again, observation, out = started(partial(ScriptEnv, (2, 9)), range(2), auto_reset=False)
    again.load_state_dict(state)
    assert again.step(np.zeros(2, np.int64), out).tolist() == [False, False]
    assert again.reset_idle(observation).tolist() == [True, True]


class SavedEnv(WalkEnv):
    """Has its own state; counts how often it is stepped."""

    def get_state(self):
        return {"position": self.position.copy(), "rng": self.np_random.bit_generator.state}

    def set_state(self, state):
        self.position = state["position"].copy()
        self.np_random.bit_generator.state = state["rng"]


@pytest.mark.parametrize("wrap", [lambda env: env, lambda env: TimeLimit(env, 9)])
def test_an_environment_with_a_state_of_its_own_is_put_back_without_steps(wrap):
    made: list[SavedEnv] = []

    def make():
        made.append(SavedEnv(0.03, 0.0))
        return wrap(made[-1])

    assert isinstance(SavedEnv(), StatefulEnv)
    assert not isinstance(WalkEnv(), StatefulEnv)
    actions = random_actions(T, 4)
    env, _, out = started(make)
    roll(env, actions[:15], out)
    state = env.state_dict()
    expected = roll(env, actions[15:], out)
    again, _, out = started(make)
    again.load_state_dict(state)
    assert [fake.n_steps for fake in made[4:]] == [0] * 4
    assert_same_course(expected, roll(again, actions[15:], out))


class ForgetfulEnv(WalkEnv):
    """Draws from a generator of its own, which no seed reaches."""

    def __init__(self) -> None:
        super().__init__(0.0, 0.0)
        self.own = np.random.default_rng(0)

    def step(self, action):
        super().step(action)
        return self.own.standard_normal(3).astype(np.float32), 0.0, False, False, {}


def test_an_environment_that_does_not_arrive_at_the_same_observation_is_warned_of():
    env, _, out = started(ForgetfulEnv, [7])
    roll(env, random_actions(5, 1), out)
    env.load_state_dict(env.state_dict())
    with pytest.warns(UserWarning, match="env 7 is not deterministic"):
        env.load_state_dict(env.state_dict(), copy_tree(out.observation))


@pytest.mark.parametrize("name", ["nested", "discrete_start", "float64_box"])
def test_an_environment_that_arrives_there_is_not(name):
    def make():
        return SampleEnv(copy.deepcopy(SPACES[name]))

    env, _, out = started(make)
    roll(env, random_actions(8, 4, 2), out)
    again, _, _ = started(make)
    again.load_state_dict(env.state_dict(), copy_tree(out.observation))


# --- decorrelation -----------------------------------------------------------------------------


def test_decorrelation_takes_few_random_steps_by_environment_and_continues_from_there():
    made: list[WalkEnv] = []

    def make():
        made.append(WalkEnv(0.02, 0.02))
        return made[-1]

    env, observation, out = started(make, range(12))
    before = observation.copy()
    env.decorrelate(10, observation)
    counts = [fake.n_steps for fake in made]
    assert min(counts) >= 0
    assert max(counts) <= 10
    assert len(set(counts)) > 4
    moved = (observation != before).any(axis=1)
    assert moved.tolist() == [count > 0 for count in counts]
    alone, first, out_alone = started(make, [7])
    alone.decorrelate(10, first)
    assert made[-1].n_steps == counts[7]
    assert_same_tree(first, observation[7:8])
    actions = random_actions(T, 12)
    state = env.state_dict()
    expected = roll(env, actions, out)
    assert_same_course(roll(alone, actions[:, 7:8], out_alone), expected, [7])
    again, _, out = started(make, range(12))
    again.load_state_dict(state)
    assert_same_course(expected, roll(again, actions, out))


def test_no_decorrelation_takes_no_step():
    env, observation, _ = started()
    before = observation.copy()
    env.decorrelate(0, observation)
    np.testing.assert_array_equal(observation, before)


# --- waiting for the next batch ----------------------------------------------------------------


def test_without_auto_reset_an_environment_waits_in_zeros():
    names = iter([(2,), (4,)])
    env, observation, out = started(lambda: ScriptEnv(next(names)), range(2), auto_reset=False)
    steps, valids = [], []
    for _ in range(5):
        valid = env.step(np.zeros(2, np.int64), out)
        valids.append([True, True] if valid is None else valid.tolist())
        steps.append(copy_tree(out))
    assert valids == [[True, True], [True, True], [False, True], [False, True], [False, False]]
    assert steps[1].truncated.tolist() == [True, False]
    assert steps[1].observation[0].tolist() == [0, 2, 2]  # no reset: still the last observation
    assert steps[1].final_observation[0].tolist() == [0, 2, 2]
    for step in steps[2:]:
        assert not step.observation[0].any()
        assert step.reward[0] == 0
        assert not step.terminated[0]
        assert not step.truncated[0]
    assert steps[2].observation[1].tolist() == [0, 3, 3]
    observation[:] = 5
    assert env.reset_idle(observation).tolist() == [True, True]
    assert observation.tolist() == [[1, 0, 0], [1, 0, 0]]
    assert env.step(np.zeros(2, np.int64), out) is None
    assert out.observation.tolist() == [[1, 1, 1], [1, 1, 1]]
    observation[:] = 5
    assert env.reset_idle(observation).tolist() == [False, False]
    assert (observation == 5).all()


def test_info_of_an_environment_that_waits_is_zero():
    class Informed(ScriptEnv):
        def step(self, action):
            observation, reward, terminated, truncated, _ = super().step(action)
            return observation, reward, terminated, truncated, {"t": self.t}

    env = LoopVectorEnv(partial(Informed, (1,)), [0], seed=0, auto_reset=False, info_keys=("t",))
    observation, out = allocate(env, namedarraytuple("EnvInfo", ("t",))(0.0))
    env.reset(observation)
    env.step(np.array([0]), out)
    assert out.env_info.t.tolist() == [1]
    env.step(np.array([0]), out)
    assert out.env_info.t.tolist() == [0]


def test_closing_closes_every_environment():
    closed = []

    class Closing(WalkEnv):
        def close(self):
            closed.append(self)

    env, _, _ = started(Closing, range(3))
    env.close()
    assert len(closed) == 3


class MaskEnv(WalkEnv):
    """Allows one of its actions, another at each step, and insists on it."""

    def __init__(self, action_space: Any, size: int) -> None:
        super().__init__(0.0, 0.05, action_space)
        self.size = size
        mask = spaces.MultiBinary(size)
        self.observation_space = spaces.Dict(x=self.observation_space, action_mask=mask)

    def reset(self, *, seed=None, options=None):
        x, info = super().reset(seed=seed)
        return self._masked(x), info

    def step(self, action):
        assert self.mask[int(action - self.action_space.start)] == 1
        x, *rest = super().step(action)
        return self._masked(x), *rest

    def _masked(self, x):
        self.mask = np.zeros(self.size, np.int8)
        self.mask[self.np_random.integers(self.size)] = 1
        return {"x": x, "action_mask": self.mask.copy()}


def test_decorrelation_keeps_to_the_action_mask():
    env, observation, _ = started(partial(MaskEnv, spaces.Discrete(6, start=2), 6), range(8))
    env.decorrelate(12, observation)


def test_decorrelation_leaves_the_environments_action_space_alone():
    made: list[WalkEnv] = []

    def make():
        made.append(WalkEnv(action_space=spaces.Discrete(1000)))
        made[-1].action_space.seed(0)
        return made[-1]

    env, observation, _ = started(make, range(3))
    env.decorrelate(9, observation)
    samples = {fake.action_space.sample() for fake in made}
    assert len(samples) == 1


def test_what_goes_wrong_in_decorrelation_is_told_with_its_place():
    def fail(make):
        env, observation, _ = started(make, [7])
        env.decorrelate(40, observation)

    with pytest.raises(RlpytError, match=r"^ERROR env: env 7 raised KeyError in step.*step 2, ep"):
        fail(partial(RaisingEnv, "step"))
    with pytest.raises(RlpytError, match=r"^ERROR env: env 7 returned observation of shape \(4,\)"):
        fail(partial(BrokenEnv, np.zeros(4, np.float32)))
    with pytest.raises(RlpytError, match=r"^ERROR env: env 7 returned observation\[1\] = nan"):
        fail(NanEnv)
    with pytest.raises(RlpytError, match=r"^ERROR env: env 7 raised OSError in reset: disk full"):
        fail(partial(FailsAtSecondResetEnv, (1,)))


class NanEnv(WalkEnv):
    """Not a number from the second step on."""

    def step(self, action):
        observation, *rest = super().step(action)
        return (ONE_NAN if self.n_steps > 1 else observation), *rest
