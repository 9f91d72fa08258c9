"""Classic control tasks that Gymnasium has no id for."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TransformObservation

from rlpyt.utils.errors import RlpytError

__all__ = ["masked_velocity_cartpole"]

_POSITIONS = [0, 2]  # of CartPole's (x, dx/dt, θ, dθ/dt)


def masked_velocity_cartpole(*, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    """CartPole-v1 without the velocities: solving it takes memory.

    The observation is float32 ``[2]``: the cart's position in metres and the pole's angle in
    radians. Actions, rewards, dynamics and the time limit of 500 steps are CartPole-v1's. No single
    observation tells which way the pole is falling, so a policy without memory falls short.

    On the command line: ``rlpyt.envs.classic:masked_velocity_cartpole``.

    Args:
        render_mode: passed on to Gymnasium.
    """
    env = gymnasium.make("CartPole-v1", render_mode=render_mode, disable_env_checker=True)
    full = env.observation_space
    if not isinstance(full, spaces.Box):
        raise RlpytError("env", f"CartPole-v1 observes {full}, expected a Box")
    space = spaces.Box(full.low[_POSITIONS], full.high[_POSITIONS], dtype=np.float32)
    return TransformObservation(env, _positions, space)


def _positions(observation: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return observation[_POSITIONS]
