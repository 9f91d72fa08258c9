"""Native vector environments (ALE's, EnvPool's, a Gymnasium ``vector_entry_point``) behind the same
protocol.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, final

import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector import VectorEnv as GymVectorEnv

from rlpyt.data import EnvSpaces, EnvStep
from rlpyt.envs.batched import action_converter, copy_final, observation_copier, set_rows
from rlpyt.envs.capsule import capsule_from_history, failure_of
from rlpyt.envs.edge import FiniteCheck, raised_by
from rlpyt.envs.vector import NOBODY, VectorEnv
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

__all__ = ["NativeVectorEnv"]


@final
class NativeVectorEnv(VectorEnv):
    """A ``gymnasium.vector.VectorEnv`` that resets itself, in the same step or in the next.

    A back end that resets in the next step spends one call per episode on it: that row is reported
    as no transition. The environments share one seed, made from the first global index. State is
    that seed and the actions since, which are replayed: exact, at the price of stepping again;
    above ``max_log`` steps a checkpoint warns that a resumed run starts new episodes.
    """

    def __init__(
        self,
        make: Callable[[int], GymVectorEnv[Any, Any, Any]],
        env_indices: Sequence[int],
        *,
        seed: int,
        stream: Stream = Stream.ENV,
        max_log: int = 200_000,
        description: Mapping[str, Any] | None = None,
    ) -> None:
        """``make(n_envs)`` builds the vector environment.

        ``description`` is ``config_dict`` of what ``make`` makes, for crash capsules.
        """
        self.n_envs = len(env_indices)
        self._first_index = env_indices[0]
        self._seed, self._stream, self._description = seed, stream, description
        self._first_episode: int | None = None
        self._max_log = max_log
        self._log: list[Any] | None = []  # None: too many
        self._n_steps = 0  # since the reset
        self._cell: Any = [NOBODY]  # see watch
        self._envs = self._construct(make)
        mode = self._envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        mode = AutoresetMode(mode) if isinstance(mode, str) else mode
        if mode == AutoresetMode.DISABLED:
            raise RlpytError(
                "env",
                f"{self._envs} does not reset itself",
                hint="make it with autoreset_mode SAME_STEP or NEXT_STEP",
            )
        self.invalid_steps = mode == AutoresetMode.NEXT_STEP
        self.spaces = EnvSpaces(self._envs.single_observation_space, self._envs.single_action_space)
        self._checks = FiniteCheck(self.spaces.observation)
        self._copy = observation_copier(self.spaces.observation)
        self._convert = action_converter(self.spaces.action)
        self._warned = False
        self._resetting = np.zeros(self.n_envs, dtype=bool)

    def _construct(
        self, make: Callable[[int], GymVectorEnv[Any, Any, Any]]
    ) -> GymVectorEnv[Any, Any, Any]:
        try:
            return make(self.n_envs)
        except RlpytError:
            raise
        except Exception as error:  # whatever a user's constructor raises is told with its place
            self._raise("its constructor", error)

    def reset(self, observation: Any, *, first_episode: int = 0) -> None:
        """Start an episode everywhere; write the first observations."""
        obs = self._reset(first_episode)
        try:
            self._copy(observation, obs)
            self._check(observation)
        except RlpytError as error:
            raise self._failed(error) from None
        self._resetting[:] = False

    def _reset(self, first_episode: int) -> Any:
        self._first_episode = first_episode
        self._log, self._n_steps = [], 0
        self._cell[0] = 0
        try:
            obs, _info = self._envs.reset(seed=self._reset_seed())
        except Exception as error:  # as in take
            self._raise("reset", error)
        self._cell[0] = NOBODY
        return obs

    def _reset_seed(self) -> int:
        assert self._first_episode is not None
        return seed_int(self._seed, self._stream, self._first_index, self._first_episode)

    def decorrelate(self, max_steps: int, observation: Any) -> None:
        """Not possible: these environments cannot be stepped one by one."""
        if max_steps:
            raise RlpytError(
                "config",
                f"max_decorrelation_steps={max_steps} needs environments that step one by one",
                hint='use vectorization="loop", or max_decorrelation_steps=0',
            )

    def step(self, action: Any, out: EnvStep) -> np.ndarray[Any, Any] | None:
        """Step every environment and write ``out``; return which rows are transitions."""
        return self.take(self._convert(action), out)

    def take(self, actions: Any, out: EnvStep) -> np.ndarray[Any, Any] | None:
        """:meth:`step` with the vector environment's own actions, handed on as they are."""
        try:
            return self._write(self._step(actions), out)
        except RlpytError as error:
            raise self._failed(error) from error.__cause__
        except Exception as error:  # a user's environment may raise anything: told with its place
            self._raise("step", error)

    def _step(self, actions: Any) -> tuple[Any, ...]:
        self._n_steps += 1
        if self._log is not None:
            self._log.append(actions)  # before the step: what fails or hangs is in the capsule
            if len(self._log) > self._max_log:
                self._log = None
        self._cell[0] = 0
        returned = self._envs.step(actions)
        self._cell[0] = NOBODY
        return returned

    def _write(self, returned: tuple[Any, ...], out: EnvStep) -> np.ndarray[Any, Any] | None:
        obs, reward, terminated, truncated, info = returned
        self._copy(out.observation, obs)
        out.reward[:] = reward
        self._check(out.observation, out.reward)
        out.terminated[:] = terminated
        out.truncated[:] = truncated
        done = out.terminated | out.truncated
        any_done = np.count_nonzero(done)  # the quickest way to ask, of few and of many
        if not self.invalid_steps:
            if any_done:
                copy_final(self.spaces.observation, out.final_observation, info["final_obs"], done)
            return None
        valid = ~self._resetting
        if any_done:
            pairs = zip(leaves(out.final_observation), leaves(out.observation), strict=True)
            for final_leaf, leaf in pairs:
                set_rows(final_leaf, done, leaf)
        self._resetting = done
        return valid

    def _check(self, observation: Any, reward: Any = None) -> None:
        found = self._checks.first_bad(observation, reward)
        if found is not None:
            row, field, value = found
            raise RlpytError(
                "env",
                f"env {self._first_index + row} returned {field} = {value}, "
                "expected a finite number",
                hint="mend the environment, or look at it with `rlpyt env-check`",
            )

    def _raise(self, method: str, error: Exception) -> NoReturn:
        place = "" if self._first_episode is None else f"step {self._n_steps} since the reset"
        raise self._failed(raised_by(self._first_index, f"in {method}", error, place)) from error

    def _failed(self, error: RlpytError) -> RlpytError:
        error.capsule = self.capsule(failure_of(error), 0)
        return error

    def capsule(self, failure: dict[str, str], row: int | None = None) -> dict[str, Any] | None:
        """What reproduces ``failure``: that of all environments, whatever the row; ``None`` without
        a row while none of their methods is running.
        """
        if row is None and self._cell[0] == NOBODY:
            return None
        return capsule_from_history(
            self._description,
            env_index=self._first_index,
            n_envs=self.n_envs,
            seed=self._seed,
            stream=self._stream,
            episode=self._first_episode,
            actions=self._log,
            steps=self._n_steps,
            failure=failure,
        )

    def reset_idle(self, observation: Any) -> np.ndarray[Any, Any]:
        """Nothing ever waits in a native vector environment."""
        return np.zeros(self.n_envs, dtype=bool)

    def state_dict(self) -> dict[str, Any]:
        """The actions since the reset."""
        if self._log is None and not self._warned:
            self._warned = True
            warnings.warn(
                f"a native vector environment took more than {self._max_log} steps, too many to "
                "take again: a run resumed from here starts new episodes "
                '(vectorization="loop" resumes exactly)',
                stacklevel=2,
            )
        own = {
            "first_index": self._first_index,
            "n_envs": self.n_envs,
            "first_episode": self._first_episode,
            "actions": None if self._log is None else list(self._log),
            "resetting": self._resetting.copy(),
        }
        return {"vectors": [own]}

    def load_state_dict(self, state: dict[str, Any], observation: Any = None) -> bool:
        """Reset with the same seed and take the same actions again, where they were kept, and by
        a vector environment of the same environments.
        """
        saved = [vector for vector in state["vectors"] if self._is_ours(vector)]
        if not saved or saved[0]["actions"] is None:
            if not saved:
                warnings.warn(
                    "native vector environments were divided otherwise when the state was saved: "
                    "new episodes start (use the same sampler and workers to resume exactly)",
                    stacklevel=2,
                )
            latest = max(vector["first_episode"] for vector in state["vectors"])
            self.reset(observation, first_episode=latest + 1)
            return False
        self._reset(saved[0]["first_episode"])
        try:
            for action in saved[0]["actions"]:
                self._step(action)
        except Exception as error:  # as in take
            self._raise("step", error)
        self._resetting = np.array(saved[0]["resetting"])
        return True

    def _is_ours(self, vector: Mapping[str, Any]) -> bool:
        return (vector["first_index"], vector["n_envs"]) == (self._first_index, self.n_envs)

    def watch(self, cell: Any) -> None:
        """From now on ``cell[0]`` is 0 while a method of the environments is running."""
        cell[0] = NOBODY
        self._cell = cell

    def close(self) -> None:
        """Close the vector environment."""
        self._envs.close()
