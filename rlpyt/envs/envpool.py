"""EnvPool's vector environments (Weng et al. 2022, arXiv:2206.10558), an optional package."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, final

from gymnasium.vector import AutoresetMode
from gymnasium.vector import VectorEnv as GymVectorEnv

from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["EnvPool", "is_envpool"]

_PREFIX = "envpool/"
_LIBRARY = "install what the message names (Procgen: apt install libqt5gui5)"


def is_envpool(env_id: object) -> bool:
    """Whether this is the id of an EnvPool task: ``"envpool/Pong-v5"``."""
    return isinstance(env_id, str) and env_id.startswith(_PREFIX)


@final
class EnvPool(GymVectorEnv[Any, Any, Any]):
    """``num_envs`` copies of an EnvPool task, stepped together by EnvPool's threads.

    EnvPool takes its seed when it is made and ignores that of ``reset``: here every ``reset`` with
    a seed makes it anew, so that runs repeat and resume.

    Args:
        env_id: ``"envpool/Pong-v5"``.
        num_envs: how many.
        options: of ``envpool.make``, such as ``{"num_threads": 2, "reward_clip": True}``; one
            thread by default.

    Raises:
        RlpytError: ``env``, without the package or a library that a task needs, or for an unknown
            task or option.
    """

    def __init__(self, env_id: str, num_envs: int, options: Mapping[str, Any]) -> None:
        self._task = env_id.removeprefix(_PREFIX)
        self._options = {"num_threads": 1, **options}
        self._envpool = _envpool()
        tasks = self._envpool.list_all_envs()
        if self._task not in tasks:
            hint = did_you_mean(self._task, tasks)
            raise RlpytError("env", f"EnvPool has no task {self._task!r}", hint=hint)
        self.num_envs = num_envs
        self._envs = self._make(0)
        with _no_warnings():
            self.single_observation_space = self._envs.single_observation_space
            self.single_action_space = self._envs.single_action_space
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def _make(self, seed: int) -> Any:
        try:
            with _no_warnings():
                return self._envpool.make(
                    self._task,
                    env_type="gymnasium",
                    num_envs=self.num_envs,
                    seed=seed % 2**31,
                    **self._options,
                )
        except ImportError as error:  # of a library that is no Python package: Procgen's Qt
            what = f"EnvPool cannot load {self._task}: {error}"
            raise RlpytError("env", what, hint=_LIBRARY) from error
        except (AssertionError, TypeError, ValueError) as error:
            what = f"EnvPool does not make {self._task} with {self._options}: {error}"
            raise RlpytError("env", what, hint="see the options of envpool.make") from error

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode everywhere; from the beginning of a random stream with a ``seed``."""
        if isinstance(seed, int):
            self._envs.close()
            self._envs = self._make(seed)
        with _no_warnings():
            observation, info = self._envs.reset()
        return observation, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step everywhere; after an episode's end, the step that starts the next."""
        stepped: tuple[Any, Any, Any, Any, dict[str, Any]] = self._envs.step(actions)
        return stepped

    def close_extras(self, **kwargs: Any) -> None:
        """End EnvPool's threads."""
        self._envs.close()


@contextmanager
def _no_warnings() -> Iterator[None]:
    """None of Gymnasium's about bounds that EnvPool gives as float64."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*precision lowered by casting")
        yield


def _envpool() -> Any:
    try:
        return import_module("envpool")
    except ImportError as error:
        raise RlpytError(
            "env", "envpool is not installed", hint="pip install 'rlpyt[envpool]'"
        ) from error
