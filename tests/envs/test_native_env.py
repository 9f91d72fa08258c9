"""Vector environments that reset themselves, in whichever way, come out with the loop's meaning."""

import copy
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from env_fakes import (
    SPACES,
    SampleEnv,
    ScriptEnv,
    WalkEnv,
    allocate,
    assert_same_course,
    assert_same_tree,
    copy_tree,
    expected_tree,
    roll,
)
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlpyt.data import EnvStep
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.native import NativeVectorEnv
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream

MODES = [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP]
LENGTHS = [(3, 1, 4), (2, 5), (1,)]


def synced(make: Any, mode: AutoresetMode, n_envs: int) -> SyncVectorEnv:
    return SyncVectorEnv([make] * n_envs, autoreset_mode=mode)


def scripted(mode: AutoresetMode, space: Any, n_envs: int) -> SyncVectorEnv:
    makers = [partial(ScriptEnv, lengths, space) for lengths in LENGTHS]
    return SyncVectorEnv(makers[:n_envs], autoreset_mode=mode)


def cartpoles(n_envs: int, **kwargs: Any) -> Any:
    return gymnasium.make_vec(
        "CartPole-v1", n_envs, vectorization_mode="vector_entry_point", **kwargs
    )


def started(make: Any, indices: Any = range(3), **kwargs: Any):
    env = NativeVectorEnv(make, indices, seed=5, **kwargs)
    observation, out = allocate(env)
    env.reset(observation)
    return env, observation, out


def roll_valid(env: Any, actions: Any, out: EnvStep):
    """Steps, and which rows of each are transitions."""
    steps, valids = [], []
    for action in actions:
        valid = env.step(action, out)
        valids.append(np.ones(env.n_envs, bool) if valid is None else valid.copy())
        steps.append(copy_tree(out))
    return steps, np.array(valids)


def of_loop(space: Any, i: int, actions: Any) -> tuple[Any, list[EnvStep]]:
    """The loop's course of scripted environment ``i`` under ``actions`` [T]."""
    loop = LoopVectorEnv(partial(ScriptEnv, LENGTHS[i], space), [i], seed=0)
    observation, out = allocate(loop)
    loop.reset(observation)
    return observation, roll(loop, actions[:, None], out)


OBSERVATION_SPACES = ["box", "image", "multi_discrete_start", "multi_binary", "discrete_start"]
OBSERVATION_SPACES += ["float64_box", "dict", "tuple", "nested"]


@pytest.mark.parametrize("name", OBSERVATION_SPACES)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_transitions_are_those_of_the_loop(mode, name):
    space = SPACES[name]
    T = 24
    actions = np.random.default_rng(0).integers(3, size=(T, 3))
    env, first, out = started(partial(scripted, mode, space))
    assert env.invalid_steps == (mode == AutoresetMode.NEXT_STEP)
    steps, valid = roll_valid(env, actions, out)
    for i in range(3):
        rows = np.flatnonzero(valid[:, i])
        loop_first, expected = of_loop(space, i, actions[rows, i])
        assert_same_tree(first[i : i + 1], loop_first)
        for k, (t, wanted) in enumerate(zip(rows, expected, strict=True)):
            found = steps[t][i : i + 1]
            for name_ in ("reward", "terminated", "truncated"):
                assert_same_tree(getattr(found, name_), getattr(wanted, name_))
            if wanted.terminated[0] or wanted.truncated[0]:
                assert_same_tree(found.final_observation, wanted.final_observation)
            if k + 1 < len(rows):  # where the next action starts from
                start = steps[rows[k + 1] - 1][i : i + 1]
                assert_same_tree(start.observation, wanted.observation)


def test_a_reset_in_the_next_step_is_no_transition_and_nothing_else_is():
    actions = np.zeros((24, 3), np.int64)
    env, _, out = started(partial(scripted, AutoresetMode.NEXT_STEP, None))
    steps, valid = roll_valid(env, actions, out)
    done = np.array([step.terminated | step.truncated for step in steps])
    assert done.any(axis=0).all()
    assert valid[0].all()
    np.testing.assert_array_equal(valid[1:], ~done[:-1])
    for step, is_valid in zip(steps, valid, strict=True):
        assert (step.reward[~is_valid] == 0).all()
        assert not (step.terminated | step.truncated)[~is_valid].any()


def test_a_reset_in_the_same_step_leaves_only_transitions():
    env, _, out = started(partial(scripted, AutoresetMode.SAME_STEP, None))
    assert env.step(np.zeros(3, np.int64), out) is None
    assert not env.invalid_steps


def test_final_observations_are_written_only_where_an_episode_ended():
    for mode in MODES:
        env, _, out = started(partial(scripted, mode, None))
        env.step(np.zeros(3, np.int64), out)
        assert np.isnan(out.final_observation[:2]).all()
        assert out.final_observation[2].tolist() == [0, 1, 1]


class DenseFinalEnv(SyncVectorEnv):
    """Gives final observations batched, as ALE's vector environment does."""

    def step(self, actions):
        observation, reward, terminated, truncated, info = super().step(actions)
        if "final_obs" in info:
            rows = info["final_obs"]
            is_dict = isinstance(self.single_observation_space, spaces.Dict)
            info["final_obs"] = (
                {
                    name: np.stack([np.zeros_like(part[0]) if r is None else r[name] for r in rows])
                    for name, part in observation.items()
                }
                if is_dict
                else np.stack([np.zeros_like(observation[0]) if r is None else r for r in rows])
            )
        return observation, reward, terminated, truncated, info


@pytest.mark.parametrize("name", ["box", "discrete_start", "dict"])
def test_batched_final_observations(name):
    def dense(n_envs):
        makers = [partial(ScriptEnv, lengths, SPACES[name]) for lengths in LENGTHS]
        return DenseFinalEnv(makers[:n_envs], autoreset_mode=AutoresetMode.SAME_STEP)

    actions = np.random.default_rng(0).integers(3, size=(24, 3))
    env, _, out = started(dense)
    other, _, other_out = started(partial(scripted, AutoresetMode.SAME_STEP, SPACES[name]))
    assert_same_course(roll(env, actions, out), roll(other, actions, other_out))


ACTION_SPACES = [name for name in SPACES if name not in ("image", "int_box", "scalar_box")]


@pytest.mark.parametrize("name", ACTION_SPACES)
def test_actions_of_every_kind_arrive(name):
    made: list[SampleEnv] = []

    def make():
        made.append(SampleEnv(spaces.Discrete(2), SPACES[name]))
        return made[-1]

    env, _, out = started(partial(synced, make, AutoresetMode.SAME_STEP), range(2))
    space = copy.deepcopy(SPACES[name])
    space.seed(0)
    for _ in range(4):
        wanted = [space.sample() for _ in range(2)]
        tree = buffer_map(lambda *a: np.stack(a), *[expected_tree(space, one) for one in wanted])
        env.step(tree, out)
        for fake, one in zip(made, wanted, strict=True):
            assert_same_tree(expected_tree(space, fake.actions[-1]), expected_tree(space, one))


def test_box_actions_are_clipped_for_the_environment_only():
    made: list[SampleEnv] = []

    def make():
        made.append(SampleEnv(spaces.Discrete(2), spaces.Box(-1, 0.5, (2,), np.float64)))
        return made[-1]

    env, _, out = started(partial(synced, make, AutoresetMode.SAME_STEP), range(2))
    action = np.array([[3.0, -3.0], [0.25, 0.0]], np.float32)
    env.step(action, out)
    assert [fake.actions[0].tolist() for fake in made] == [[0.5, -1], [0.25, 0]]
    assert action.tolist() == [[3, -3], [0.25, 0]]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("save_at", [0, 1, 19])
def test_state_is_replayed_exactly(mode, save_at):
    actions = np.random.default_rng(0).integers(3, size=(40, 3))
    make = partial(synced, partial(WalkEnv, 0.1, 0.1), mode)
    env, _, out = started(make)
    roll(env, actions[:save_at], out)
    state = env.state_dict()
    kept = copy.deepcopy(state)
    expected, valid = roll_valid(env, actions[save_at:], out)
    np.testing.assert_equal(state, kept)
    again, _, out = started(make)
    roll(again, actions[:3], out)
    again.load_state_dict(state)
    found, valid_again = roll_valid(again, actions[save_at:], out)
    assert_same_course(expected, found)
    np.testing.assert_array_equal(valid, valid_again)


def test_state_after_a_later_first_episode_is_replayed_too():
    make = partial(synced, WalkEnv, AutoresetMode.NEXT_STEP)
    actions = np.random.default_rng(0).integers(3, size=(30, 3))
    env, observation, out = started(make)
    roll(env, actions[:7], out)
    env.reset(observation, first_episode=9)
    first = copy_tree(observation)
    roll(env, actions[:7], out)
    state = env.state_dict()
    expected, valid = roll_valid(env, actions[7:], out)
    again, observation, out = started(make)
    assert (observation != first).all()
    again.load_state_dict(state)
    found, valid_again = roll_valid(again, actions[7:], out)
    assert_same_course(expected, found)
    np.testing.assert_array_equal(valid, valid_again)


def test_a_reset_forgets_who_was_about_to_be_reset():
    env, observation, out = started(partial(scripted, AutoresetMode.NEXT_STEP, None))
    env.step(np.zeros(3, np.int64), out)
    assert out.truncated[2]
    env.reset(observation)
    assert env.step(np.zeros(3, np.int64), out).all()


def test_first_episodes_of_neighbours_have_different_seeds():
    make = partial(synced, WalkEnv, AutoresetMode.NEXT_STEP)
    env, observation, _ = started(make)
    seen = []
    for first_episode in range(4):
        env.reset(observation, first_episode=first_episode)
        seen += [tuple(row) for row in observation.tolist()]
    assert len(set(seen)) == 12


def test_a_log_that_grew_too_long_says_so():
    env, observation, out = started(partial(synced, WalkEnv, AutoresetMode.SAME_STEP), max_log=5)
    actions = np.zeros((6, 3), np.int64)
    roll(env, actions[:5], out)
    assert len(env.state_dict()["vectors"][0]["actions"]) == 5
    roll(env, actions[:1], out)
    with pytest.warns(UserWarning, match=r"more than 5 steps.*vectorization"):
        state = env.state_dict()
    env.state_dict()  # said once
    again, other, _ = started(partial(synced, WalkEnv, AutoresetMode.SAME_STEP), max_log=5)
    first = other.copy()
    assert not again.load_state_dict(state, other)
    assert not np.array_equal(other, first)
    env.reset(observation)
    assert env.state_dict()["vectors"][0]["actions"] == []


def test_numbers_that_are_not_finite_are_told_with_their_env_and_field():
    class Bad(ScriptEnv):
        def step(self, action):
            observation, _reward, terminated, truncated, info = super().step(action)
            if self.t == 2:
                observation["b"][1] = np.nan
            return observation, np.inf if self.t == 3 else 0.0, terminated, truncated, info

    space = spaces.Dict(a=spaces.Discrete(3), b=spaces.Box(-9, 9, (3,), np.float32))
    make = partial(synced, partial(Bad, (9,), space), AutoresetMode.SAME_STEP)
    env, _, out = started(make, [6, 7])
    env.step(np.zeros(2, np.int64), out)
    with pytest.raises(RlpytError, match=r"env 6 returned observation\.b\[1\] = nan, expected a"):
        env.step(np.zeros(2, np.int64), out)
    with pytest.raises(RlpytError, match=r"env 6 returned reward = inf, expected a finite number"):
        env.step(np.zeros(2, np.int64), out)


def test_what_it_cannot_do_it_says():
    with pytest.raises(RlpytError, match=r"does not reset itself.*SAME_STEP or NEXT_STEP"):
        started(partial(synced, WalkEnv, AutoresetMode.DISABLED))
    env, observation, _ = started(partial(synced, WalkEnv, AutoresetMode.NEXT_STEP))
    before = copy_tree(observation)
    env.decorrelate(0, observation)
    np.testing.assert_array_equal(observation, before)
    with pytest.raises(RlpytError, match=r"max_decorrelation_steps=3.*vectorization=.loop"):
        env.decorrelate(3, observation)
    assert not env.reset_idle(observation).any()


def test_seeds_come_from_seed_stream_and_first_index():
    make = partial(synced, WalkEnv, AutoresetMode.NEXT_STEP)
    _, first, _ = started(make, range(3))
    _, same, _ = started(make, range(3))
    np.testing.assert_array_equal(first, same)
    _, other_index, _ = started(make, range(3, 6))
    _, other_stream, _ = started(make, range(3), stream=Stream.EVAL_ENV)
    for other in (other_index, other_stream):
        assert (other != first).all()


def test_closing_closes_the_environments():
    closed = []

    class Closing(WalkEnv):
        def close(self):
            closed.append(self)

    env, _, _ = started(partial(synced, Closing, AutoresetMode.NEXT_STEP))
    env.close()
    assert len(closed) == 3


def test_gymnasiums_own_vector_cartpole_by_its_physics():
    env, observation, out = started(partial(cartpoles, max_episode_steps=30), range(4))
    assert env.invalid_steps
    assert (np.abs(observation) <= 0.05).all()
    one = gymnasium.make("CartPole-v1").unwrapped
    one.reset(seed=0)
    actions = np.random.default_rng(0).integers(2, size=(120, 4))
    start, was_done = copy_tree(observation), np.zeros(4, bool)
    seen = {"terminated": 0, "truncated": 0}
    for action in actions:
        valid = env.step(action, out)
        np.testing.assert_array_equal(valid, ~was_done)
        for i in range(4):
            if not valid[i]:
                assert (np.abs(out.observation[i]) <= 0.05).all()
                assert out.reward[i] == 0
                continue
            one.state, one.steps_beyond_terminated = tuple(start[i].astype(np.float64)), None
            expected, reward, terminated, _, _ = one.step(action[i])
            np.testing.assert_allclose(out.observation[i], expected, rtol=1e-4, atol=1e-5)
            assert out.reward[i] == reward == 1
            assert out.terminated[i] == terminated
        was_done = out.terminated | out.truncated
        np.testing.assert_array_equal(out.final_observation[was_done], out.observation[was_done])
        seen["terminated"] += out.terminated.sum()
        seen["truncated"] += (out.truncated & ~out.terminated).sum()
        start = copy_tree(out.observation)
    assert seen["terminated"] > 2
    assert seen["truncated"] > 0


def test_gymnasiums_own_vector_cartpole_continues_from_its_state():
    actions = np.random.default_rng(0).integers(2, size=(100, 4))
    env, _, out = started(cartpoles, range(4))
    roll(env, actions[:41], out)
    state = env.state_dict()
    expected, valid = roll_valid(env, actions[41:], out)
    again, _, out = started(cartpoles, range(4))
    again.load_state_dict(state)
    found, valid_again = roll_valid(again, actions[41:], out)
    assert_same_course(expected, found)
    np.testing.assert_array_equal(valid, valid_again)
    assert all(leaf.dtype == np.float32 for leaf in leaves(out.observation))


def test_who_is_about_to_be_reset_is_part_of_the_state():
    make = partial(scripted, AutoresetMode.NEXT_STEP, None)
    env, _, out = started(make)
    env.step(np.zeros(3, np.int64), out)
    assert out.truncated.tolist() == [False, False, True]
    again, _, out = started(make)
    again.load_state_dict(env.state_dict())
    assert again.step(np.zeros(3, np.int64), out).tolist() == [True, True, False]
