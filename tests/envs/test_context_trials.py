"""Trials with a context: which trajectories they have, which task, and what stands in between."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from trial_fakes import Scripted

from rlpyt.data import EnvStep
from rlpyt.envs import EnvConfig, MemoryCorridor, build_env, build_vector_env, task_split
from rlpyt.envs.adaptation import evaluation_trials, training_trials
from rlpyt.envs.context_trials import ContextTrials, Draw, Phase
from rlpyt.envs.spaces import example_of
from rlpyt.utils.buffer import buffer_from_example, numpify_buffer
from rlpyt.utils.errors import RlpytError

SCRIPTED = "trial_fakes:Scripted"
KEEP, PRIOR, POSTERIOR = Draw.KEEP, Draw.PRIOR, Draw.POSTERIOR
ACTION = np.full(2, 0.5, np.float32)


def trial(env: gymnasium.Env[Any, Any], number: int, seed: int = 0) -> list[dict[str, Any]]:
    """What a trial showed, step by step, with what was paid and whether it was over."""
    env.get_wrapper_attr("plan_episode")(number)
    observation, info = env.reset(seed=seed)
    assert env.observation_space.contains(observation)
    shown, over = [{**observation, "paid": None, "over": False, **info}], False
    while not over:
        observation, paid, terminated, over, info = env.step(ACTION)
        assert not terminated
        assert env.observation_space.contains(observation)
        shown.append({**observation, "paid": paid, "over": over, **info})
    return shown


def draws(shown: list[dict[str, Any]]) -> dict[int, Draw]:
    """Where z is drawn, by step."""
    return {t: Draw(row["draw"]) for t, row in enumerate(shown) if row["draw"]}


def test_phases_are_whole_trajectories_of_so_many_steps_or_more():
    env = training_trials(
        env=SCRIPTED, n_train=2, initial_steps=4, prior_steps=5, posterior_steps=3, extra_steps=2
    )
    # Trajectories have 3, 1, 4, 2, 3, 1, 4 steps.
    initial = trial(env, 1)
    assert len(initial) == 1 + 3 + 1
    assert draws(initial) == {0: PRIOR, 3: PRIOR}
    assert [row["in_context"] for row in initial] == [0, 1, 1, 1, 1]
    later = trial(env, 2)
    assert draws(later) == {
        **{0: PRIOR, 3: PRIOR, 4: PRIOR},  # 8 steps for 5
        **{8: PRIOR, 10: POSTERIOR},  # 2 + 3 for 3
        **{13: PRIOR, 14: POSTERIOR},  # 1 + 4 for 2
    }
    assert len(later) == 1 + 18
    assert [row["in_context"] for row in later] == [0] + [1] * 13 + [0] * 5
    assert [row["trial_episode"] for row in later] == (
        [0] + [0] * 3 + [1] + [2] * 4 + [3] * 2 + [4] * 3 + [5] + [6] * 4
    )


def test_every_task_begins_and_then_tasks_come_by_chance():
    env = training_trials(env=SCRIPTED, n_train=5, initial_steps=1, prior_steps=6, extra_steps=0)
    firsts = [trial(env, number)[0]["task"] for number in range(5)]
    assert firsts == [0, 1, 2, 3, 4]
    later = [trial(env, number, seed=number) for number in range(5, 105)]
    counts = np.bincount([shown[0]["task"] for shown in later], minlength=5)
    assert counts.min() >= 8
    assert all(shown[0]["observation"][0] == shown[0]["task"] for shown in later)
    again = trial(env, 7, seed=7)
    assert again[0]["task"] == later[2][0]["task"]


def test_what_led_here_is_whole_at_the_ends_of_trajectories_too():
    env = training_trials(env=SCRIPTED, n_train=2, initial_steps=8)
    shown = trial(env, 1)
    for t, row in enumerate(shown[1:], 1):
        last, before = row["last"], shown[t - 1]
        assert np.array_equal(last["observation"], before["observation"])
        assert np.array_equal(last["action"], ACTION)
        assert last["reward"] == np.float32(row["paid"])
        assert last["context_reward"] == last["reward"]
        step = before["observation"] + [0, 0, 1]
        assert np.array_equal(last["next_observation"], step)
    ends = {t: row["last"]["terminated"] for t, row in enumerate(shown) if t in (3, 4, 8)}
    assert ends == {3: 1, 4: 0, 8: 1}
    assert sum(row["last"]["terminated"] for row in shown) == 2
    assert [row["observation"][1] for row in shown] == [0] * 3 + [1] + [2] * 4 + [2]


def test_evaluation_has_every_task_and_adapts_after_exploring():
    env = evaluation_trials(
        env=SCRIPTED, n_train=3, n_test=4, trajectories=4, exploration_trajectories=2
    )
    shown = [trial(env, number) for number in range(8)]
    assert [rows[0]["task"] for rows in shown] == [0, 1, 2, 3] * 2
    assert [rows[0]["observation"][0] for rows in shown[:4]] == [3, 4, 5, 6]  # the test tasks
    assert draws(shown[0]) == {0: PRIOR, 3: PRIOR, 4: POSTERIOR, 8: POSTERIOR}
    assert len(shown[0]) == 1 + 3 + 1 + 4 + 2
    assert all(row["in_context"] for row in shown[0][1:])
    seen = evaluation_trials(env=SCRIPTED, n_train=3, n_test=4, split="train")
    assert trial(seen, 2)[0]["observation"][0] == 2


def test_the_context_may_have_another_reward():
    kwargs: dict[str, Any] = {"env": SCRIPTED, "n_train": 2, "context_reward": "other"}
    row = trial(training_trials(**kwargs, initial_steps=3), 1)[1]
    assert row["paid"] == pytest.approx(1.01)
    assert row["last"]["reward"] == pytest.approx(1.01)
    assert row["last"]["context_reward"] == pytest.approx(11.01)
    judged = trial(evaluation_trials(**kwargs, n_test=1), 0)[1]
    assert judged["paid"] == pytest.approx(12.01)
    env = training_trials(env=SCRIPTED, n_train=2, context_reward="absent")
    with pytest.raises(RlpytError, match="info has no 'absent'"):
        trial(env, 0)


def vector(start: int, stop: int, total: int, **kwargs: Any) -> Any:
    config = EnvConfig(
        id="rlpyt.envs.adaptation:training_trials",
        kwargs={"env": SCRIPTED, "n_train": 5, "initial_steps": 3, **kwargs},
    )
    return build_vector_env(config, range(start, stop), seed=0, total_envs=total)


def test_environments_share_the_tasks_between_them_whoever_steps_them():
    def first_tasks(start: int, stop: int) -> Any:
        env = vector(start, stop, 3)
        n = stop - start

        def rows(example: Any) -> Any:
            return numpify_buffer(buffer_from_example(example, (n,)))

        example = example_of(env.spaces.observation)
        out = EnvStep(
            rows(example),
            np.zeros(n, np.float32),
            np.zeros(n, bool),
            np.zeros(n, bool),
            rows(example),
        )
        env.reset(out.observation)
        found = [out.observation.task.copy()]
        for _ in range(3):
            env.step(np.zeros((n, 2), np.float32), out)
        found.append(out.observation.task.copy())
        env.close()
        return np.stack(found, axis=1)

    whole = first_tasks(0, 3)
    assert whole[:, 0].tolist() == [0, 1, 2]
    assert whole[:2, 1].tolist() == [3, 4]
    parts = np.concatenate([first_tasks(0, 1), first_tasks(1, 3)])
    assert np.array_equal(whole, parts)


def test_on_a_split_of_real_tasks():
    kwargs = {"env": "rlpyt.envs.meta:point_robot", "n_train": 5, "n_test": 3, "task_seed": 7}
    split = task_split("rlpyt.envs.meta:point_robot", 5, 3, seed=7)
    train = build_env(EnvConfig(id="rlpyt.envs.adaptation:training_trials", kwargs=kwargs))
    judged = build_env(EnvConfig(id="rlpyt.envs.adaptation:evaluation_trials", kwargs=kwargs))
    for env, tasks in ((train, split.train), (judged, split.test)):
        goals = set()
        for number in range(len(tasks)):
            env.get_wrapper_attr("plan_episode")(number)
            env.reset(seed=0)
            goals.add(tuple(env.unwrapped.get_task()["goal"]))  # type: ignore[attr-defined]
        assert goals == {tuple(task["goal"]) for task in tasks}


def test_what_cannot_be_is_refused():
    phase = Phase(steps=1, first=PRIOR, rest=PRIOR)
    with pytest.raises(RlpytError, match="has no tasks"):
        ContextTrials(MemoryCorridor(), tasks=[{}], phases=[phase])
    with pytest.raises(RlpytError, match="trials of 0 tasks"):
        ContextTrials(Scripted(), tasks=[], phases=[phase])
    nothing = Phase(first=PRIOR, rest=PRIOR)
    with pytest.raises(RlpytError, match="0 phases with trajectories"):
        ContextTrials(Scripted(), tasks=[{"number": 1.0}], phases=[nothing])
    with pytest.raises(RlpytError, match="2 trajectories, 3 of them exploration"):
        evaluation_trials(
            env=SCRIPTED, n_train=1, n_test=1, trajectories=2, exploration_trajectories=3
        )
    other = Scripted()
    other.action_space = spaces.MultiDiscrete([2, 2])
    with pytest.raises(RlpytError, match="Box or Discrete actions"):
        ContextTrials(other, tasks=[{"number": 1.0}], phases=[phase])
