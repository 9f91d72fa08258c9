"""The engine of `rlpyt env-check`: whether an environment is fit to train on, and what to mend.

A uniform random policy steps two instances side by side, as a sampler would, with the same seeds
and actions. Whatever they return is checked against their spaces and compared.
"""

import copy
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, final

import gymnasium
import numpy as np

from rlpyt.envs.check_report import EnvReport, Finding
from rlpyt.envs.check_subject import BrokenEnvError, RandomPolicy, Subject, guarded
from rlpyt.envs.check_tasks import task_findings
from rlpyt.envs.check_values import first_difference, space_findings, unsavable
from rlpyt.envs.edge import without_limit
from rlpyt.envs.gym import env_name, make_env
from rlpyt.envs.tasks import find_task_env
from rlpyt.envs.vector import StatefulEnv
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

__all__ = ["check_env"]

_REPLAY_STEPS = 200  # at most, of the longest episode: the later checks take them again
_N_SEEDS = 5  # first observations compared to see whether the seed matters


def check_env(
    env: str | Callable[..., gymnasium.Env[Any, Any]],
    env_kwargs: dict[str, Any] | None = None,
    *,
    steps: int = 1000,
    seed: int = 0,
) -> EnvReport:
    """Look at an environment from outside; one that raises is a finding, not a failure.

    Args:
        env: what :func:`rlpyt.envs.gym.make_env` takes.
        env_kwargs: its keyword arguments.
        steps: environment steps of random play, over as many episodes as that gives.
        seed: of the episodes and of the actions.

    Looked at: construction, spaces, what reset and step return (shape, dtype, keys, bounds, finite;
    one real reward; bools), ends, repeatability under a seed, arrays changed in place,
    ``action_mask``, pickling, ``get_state`` and ``set_state`` and tasks where the environment has
    them, closing; and how long a step takes.

    Raises:
        RlpytError: ``config``, for ``steps`` below 1.
    """
    if steps < 1:
        raise RlpytError(
            "config", f"steps={steps} must be at least 1", hint="1000 is a good number"
        )
    report = EnvReport(env=env_name(env))
    with suppress(BrokenEnvError):
        guarded(report, "pickle", _pickle, env, env_kwargs)
        report.picklable = True
        report.add_ok("pickle", "can be sent to worker processes")
    _Check(report, lambda: make_env(env, env_kwargs), steps, seed).run()
    return report


def _pickle(env: Any, env_kwargs: dict[str, Any] | None) -> None:
    """Raise unless both survive what a spawned worker's arguments go through."""
    try:
        pickle.loads(pickle.dumps((env, env_kwargs)))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise RlpytError(
            "env",
            f"cannot be sent to a worker process: {error}",
            hint="pass an id, or a class or function from the top of a module, with env_kwargs",
        ) from error


@final
class _Check:
    """The phases of one check; :class:`BrokenEnvError` ends them."""

    def __init__(
        self,
        report: EnvReport,
        make: Callable[[], gymnasium.Env[Any, Any]],
        steps: int,
        seed: int,
    ) -> None:
        self._report, self._make, self._steps, self._seed = report, make, steps, seed
        self._made: list[gymnasium.Env[Any, Any]] = []
        self._seed_replayed = 0
        self._actions: list[Any] = []  # of the longest episode
        self._agree = True  # both instances, so far
        self._terminated = 0  # episodes
        self._truncated = 0

    def run(self) -> None:
        """Every phase; then close what was made."""
        with suppress(BrokenEnvError):
            first, second = self._construct(), self._construct()
            self._report.add_ok("construct", "two instances made")
            self._report.add_ok("spaces", "supported")
            self._roll(first, second)
            self._conclude(first)
            if self._agree:
                if isinstance(without_limit(first.env)[0], StatefulEnv):
                    self._round_trip(first, second)
                else:
                    self._compare_with_new(first)
                self._report.add_ok(
                    "determinism", "the same seed and actions give the same episode"
                )
                self._compare_seeds(first)
            if (tasks := find_task_env(first.env)) is not None:
                self._report.add(*guarded(self._report, "tasks", task_findings, tasks))
        with suppress(BrokenEnvError):
            for env in self._made:
                guarded(self._report, "close", env.close)
            if self._made:
                self._report.add_ok("close", "closes")

    def _construct(self) -> Subject:
        report = self._report
        env = guarded(report, "construct", self._make)
        if any(env is made for made in self._made):
            what = "the callable returned the same object twice"
            self._add("error", "construct", what, "make a new environment at each call")
            raise BrokenEnvError
        self._made.append(env)
        report.observation_space = guarded(report, "spaces", lambda: env.observation_space)
        report.action_space = guarded(report, "spaces", lambda: env.action_space)
        report.add(*space_findings(report.observation_space, report.action_space))
        if report.has_problem("spaces", level="error"):
            raise BrokenEnvError
        return Subject(report, env)

    def _add(self, level: Literal["warning", "error"], topic: str, what: str, mend: str) -> None:
        self._report.add(Finding(level=level, topic=topic, what=what, mend=mend))

    def _episode_seed(self, episode: int) -> int:
        return seed_int(self._seed, Stream.ENV, 0, episode)

    def _roll(self, first: Subject, second: Subject) -> None:
        """Random play of both instances, side by side as long as they agree."""
        policy = RandomPolicy(first.env.action_space, self._seed)
        episode, taken = 0, 0
        while taken < self._steps:
            self._reset_both(first, second, episode)
            actions: list[Any] = []
            start = taken
            while taken < self._steps and not first.done:
                action = policy(first.observation)
                actions.append(copy.deepcopy(action))
                self._step_both(first, second, action, f"episode {episode}, step {taken - start}")
                taken += 1
            if len(actions) > len(self._actions):
                self._actions = actions[:_REPLAY_STEPS]
                self._seed_replayed = self._episode_seed(episode)
            if first.done:
                self._report.episode_lengths.append(taken - start)
                self._terminated += first.terminated
                self._truncated += not first.terminated
            episode += 1

    def _reset_both(self, first: Subject, second: Subject, episode: int) -> None:
        seed = self._episode_seed(episode)
        content = first.reset(seed)
        if self._agree:
            self._agreed(content, second.reset(seed), f"the reset of episode {episode}")

    def _step_both(self, first: Subject, second: Subject, action: Any, place: str) -> None:
        given = copy.deepcopy(action)
        content = first.step(action)
        if self._agree:
            self._agreed(content, second.step(given), place)

    def _agreed(self, one: dict[str, bytes], other: dict[str, bytes], place: str) -> None:
        path = first_difference(one, other)
        if path is None:
            return
        self._agree = False
        spec = self._made[0].spec
        known = spec is not None and spec.nondeterministic
        self._add(
            "warning" if known else "error",
            "determinism",
            f"two instances with the same seed and actions differ in {path} at {place}",
            "call super().reset(seed=seed), draw every random number from self.np_random, and "
            "share nothing between instances",
        )

    def _conclude(self, first: Subject) -> None:
        """Facts, and what is well, after random play that came through."""
        report, n_ended = self._report, self._terminated + self._truncated
        p50, p99 = np.percentile(first.step_times, [50, 99])
        report.step_time_p50, report.step_time_p99 = float(p50), float(p99)
        report.reset_time = float(np.median(first.reset_times))
        limit = f"a time limit of {first.limit}" if first.limit else "no TimeLimit wrapper"
        if n_ended == 0 and first.limit is None:
            self._add(
                "warning",
                "ends",
                f"no episode ended within {self._steps} steps, and there is no time limit",
                "wrap with gymnasium.wrappers.TimeLimit or register with max_episode_steps; if "
                "episodes are just long, check more steps",
            )
        counts = f"{self._terminated} terminated, {self._truncated} truncated ({limit})"
        report.add_ok("ends", f"{n_ended} episodes ended: {counts}")
        report.add_ok("reset", "returns (observation, info)")
        report.add_ok("step", "returns (observation, reward, terminated, truncated, info)")
        report.add_ok("observation", f"{self._steps} steps within the observation space")
        report.add_ok("reward", "one finite number at every step")
        report.add_ok("aliasing", "no returned array is changed later")
        report.add_ok("action", "actions are left as they are")
        if first.masked:
            report.add_ok("action_mask", "fits the action space, and always allows an action")

    def _replay(self, subject: Subject, seed: int, actions: list[Any]) -> list[dict[str, bytes]]:
        return [subject.reset(seed), *self._course(subject, actions)]

    def _course(self, subject: Subject, actions: list[Any]) -> list[dict[str, bytes]]:
        contents = []
        for action in actions:
            contents.append(subject.step(copy.deepcopy(action)))
            if subject.done:
                break
        return contents

    def _compare_with_new(self, used: Subject) -> None:
        """An episode is made by its seed and actions only: what a resumed run relies on."""
        old = self._replay(used, self._seed_replayed, self._actions)
        new = self._replay(self._construct(), self._seed_replayed, self._actions)
        place = _first_step_apart(old, new)
        if place is not None:
            self._add(
                "warning",
                "determinism",
                f"a used instance and a new one with the same seed and actions differ in {place}: "
                "a resumed run will not repeat exactly",
                "set in reset every attribute that an episode changes, or give the environment "
                "get_state and set_state",
            )

    def _compare_seeds(self, subject: Subject) -> None:
        others = (self._episode_seed(episode) for episode in range(_N_SEEDS))
        seeds = [self._seed_replayed, *(seed for seed in others if seed != self._seed_replayed)]
        starts = [subject.reset(seed) for seed in seeds]
        # under a mask the actions of one episode may be forbidden in another
        if any(start != starts[0] for start in starts) or subject.masked:
            return
        courses = [self._replay(subject, seed, self._actions) for seed in seeds[:2]]
        if _first_step_apart(*courses) is None:
            self._add(
                "warning",
                "seed",
                f"{len(seeds)} seeds start alike, and the same actions go the same way",
                "use self.np_random after super().reset(seed=seed); if the task is meant to have "
                "no chance in it, all is well",
            )

    def _round_trip(self, first: Subject, second: Subject) -> None:
        """``get_state`` and ``set_state``, in the same instance and into another one."""
        source, target = (without_limit(subject.env)[0] for subject in (first, second))
        assert isinstance(source, StatefulEnv)
        assert isinstance(target, StatefulEnv)
        half = len(self._actions) // 2
        self._replay(first, self._seed_replayed, self._actions[:half])
        state = guarded(self._report, "state", source.get_state)
        path = unsavable(state, "state")
        if path is not None:
            what = f"get_state returns {path}, which a checkpoint cannot keep"
            mend = "return numbers, strings, None and arrays, in dicts, lists and tuples"
            self._add("error", "state", what, mend)
        expected = self._course(first, self._actions[half:])
        second.reset(self._seed_replayed)
        for subject, env in ((first, source), (second, target)):
            guarded(self._report, "state", env.set_state, state)
            place = _first_step_apart(expected, self._course(subject, self._actions[half:]))
            if place is not None:
                self._add(
                    "error",
                    "state",
                    f"after set_state(get_state()) the environment goes another way in {place}",
                    "let get_state return copies of everything an episode changes, the state of "
                    "self.np_random included, and set_state put it all back",
                )
        self._report.add_ok("state", "set_state(get_state()) continues exactly")


def _first_step_apart(one: list[dict[str, bytes]], other: list[dict[str, bytes]]) -> str | None:
    """Where two courses part: the path and the step; ``None`` where they do not."""
    for step, (content, other_content) in enumerate(zip(one, other, strict=False)):
        path = first_difference(content, other_content)
        if path is not None:
            return f"{path} (step {step})"
    return None
