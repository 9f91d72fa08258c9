"""The DeepMind Control Suite seen through a camera (Tassa et al. 2018, arXiv:1801.00690), by ids
such as ``dm_control_pixels/walker-walk-v0``.
"""

import os
from collections import deque
from contextlib import suppress
from ctypes.util import find_library
from importlib import import_module
from typing import Any, Final, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.envs.suites import import_suite
from rlpyt.utils.errors import RlpytError

__all__ = ["PIXELS", "DmControlPixels", "pixel_stack", "register_pixels"]

PIXELS: Final = "dm_control_pixels/"
"""How the ids of these tasks start."""

_SUITE, _VERSION = "dm_control/", "-v0"
_CAMERAS = {"quadruped": 2}  # behind it, where it sees more than its own back; of others the first
_FRAMES = 3


def pixel_stack(env_id: object, kwargs: dict[str, Any]) -> int | None:
    """How many frames the observations of this environment stack; None where it is another one."""
    is_one = isinstance(env_id, str) and env_id.startswith(PIXELS)
    return int(kwargs.get("frame_stack", _FRAMES)) if is_one else None


@final
class DmControlPixels(gymnasium.Env[np.ndarray[Any, Any], Any]):
    """A task of the suite that is observed as the last images, uint8
    [3 frame_stack, size, size], oldest first; an episode starts with its first image repeated.

    A step takes the action ``action_repeat`` times and returns the sum of the rewards, so that an
    episode of 1000 steps is 500 here, and a return is of the suite's scale.

    Args:
        task: Domain and task: ``walker-walk``.
        size: Rows and columns of an image.
        frame_stack: Images in an observation.
        action_repeat: Steps of the suite in one of these.
        camera_id: Which camera; None: the one that published results have.
        render_mode: None or ``"rgb_array"``, for ``render``.
        task_kwargs: Passed on to the suite.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012  # as gymnasium.Env has it

    def __init__(
        self,
        task: str,
        *,
        size: int = 84,
        frame_stack: int = _FRAMES,
        action_repeat: int = 2,
        camera_id: int | None = None,
        render_mode: str | None = None,
        task_kwargs: dict[str, Any] | None = None,
    ) -> None:
        for name, value in (
            ("size", size),
            ("frame_stack", frame_stack),
            ("action_repeat", action_repeat),
        ):
            if value < 1:
                raise RlpytError("config", f"{name}={value}", where=task, hint="use 1 or more")
        _choose_renderer()
        import_suite(_SUITE)
        domain = task.partition("-")[0]
        camera = _CAMERAS.get(domain, 0) if camera_id is None else camera_id
        kwargs: dict[str, Any] = {} if task_kwargs is None else {"task_kwargs": task_kwargs}
        self._env = gymnasium.make(
            f"{_SUITE}{task}{_VERSION}",
            render_mode="rgb_array",
            render_kwargs={"height": size, "width": size, "camera_id": camera},
            disable_env_checker=True,
            **kwargs,
        )
        self.render_mode = render_mode
        self.action_space = self._env.action_space
        self.observation_space = spaces.Box(0, 255, (3 * frame_stack, size, size), np.uint8)
        self._repeat = action_repeat
        self._frames: deque[np.ndarray[Any, Any]] = deque(maxlen=frame_stack)
        self._where = f"{PIXELS}{task}{_VERSION}"

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """A new episode."""
        super().reset(seed=seed)
        _observation, info = self._env.reset(seed=seed, options=options)
        frame = self._frame()
        self._frames.extend([frame] * (self._frames.maxlen or 1))
        return np.concatenate(self._frames), info

    def step(self, action: Any) -> tuple[np.ndarray[Any, Any], float, bool, bool, dict[str, Any]]:
        """The action, repeated until the episode ends."""
        total, terminated, truncated = 0.0, False, False
        info: dict[str, Any] = {}
        for _ in range(self._repeat):
            _observation, reward, terminated, truncated, info = self._env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        self._frames.append(self._frame())
        return np.concatenate(self._frames), total, terminated, truncated, info

    def render(self) -> Any:
        """The newest image, [size, size, 3]."""
        return self._frames[-1].transpose(1, 2, 0) if self.render_mode else None

    def close(self) -> None:
        """Give back what the graphics library holds."""
        self._env.close()

    def _frame(self) -> np.ndarray[Any, Any]:
        try:
            image: Any = self._env.render()
        except Exception as cause:  # whatever one of three graphics libraries raises
            first = str(cause).strip().partition("\n")[0]
            chosen = os.environ.get("MUJOCO_GL", "")
            raise RlpytError(
                "env",
                f"dm_control cannot render with MUJOCO_GL={chosen!r}: {first}",
                where=self._where,
                hint="start Python with MUJOCO_GL=egl or osmesa (apt install libegl1, libosmesa6)",
            ) from cause
        return np.ascontiguousarray(image.transpose(2, 0, 1))


def _choose_renderer() -> None:
    """Without a display and a choice, the library that there is: dm_control would look for a window
    system, and fail. It reads the choice once, when it is imported.
    """
    if any(name in os.environ for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY")):
        return
    for choice, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if find_library(library) is not None:
            os.environ["MUJOCO_GL"] = choice
            return


def _load_compiler() -> None:
    """Import torch's compiler of kernels, where it is installed (its builds for GPUs bring it). It
    and a renderer without a GPU each have an LLVM: who is loaded behind the renderer's crashes.
    """
    with suppress(ImportError):
        import_module("triton")


def register_pixels() -> None:
    """Give Gymnasium an id for each task of the suite.

    Raises:
        RlpytError: ``env``, for a missing package.
    """
    _choose_renderer()
    _load_compiler()
    import_suite(_SUITE)
    point = f"{DmControlPixels.__module__}:{DmControlPixels.__qualname__}"
    for name in list(gymnasium.registry):
        env_id = PIXELS + name.removeprefix(_SUITE)
        if name.startswith(_SUITE) and "-" in name[:-3] and env_id not in gymnasium.registry:
            task = name.removeprefix(_SUITE).removesuffix(_VERSION)
            gymnasium.register(env_id, entry_point=point, kwargs={"task": task})
