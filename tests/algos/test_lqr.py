"""Critics of a linear-quadratic problem, against its closed form."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from qpg_fakes import CASES

from rlpyt.data import AgentInputs, NoState
from rlpyt.envs.build import EnvConfig

A, B, STATE_COST, ACTION_COST, DISCOUNT = 0.9, 0.5, 1.0, 0.5, 0.9
"""s' = A s + B u, r = -(STATE_COST s² + ACTION_COST u²)"""


class Linear(gymnasium.Env):
    """Starts anywhere within ±1, and never ends: what stops it after ten steps is a time limit."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Box(-2.0, 2.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.s = self.np_random.uniform(-1.0, 1.0)
        return np.array([self.s], np.float32), {}

    def step(self, action: Any) -> Any:
        u = float(action.item())
        reward = -(STATE_COST * self.s**2 + ACTION_COST * u**2)
        self.s = A * self.s + B * u
        return np.array([self.s], np.float32), reward, False, False, {}


def riccati() -> float:
    """P of V(s) = -P s² under the best policy: P = q + γ A² P - (γ A B P)² / (r + γ B² P)."""
    P = 0.0
    for _ in range(1_000):
        gain = (DISCOUNT * A * B * P) ** 2 / (ACTION_COST + DISCOUNT * B * B * P)
        P = STATE_COST + DISCOUNT * A * A * P - gain
    return P


def best_q(s: Any, u: Any) -> Any:
    """Q(s, u) = r + γ V(s')."""
    reward = -(STATE_COST * s**2 + ACTION_COST * u**2)
    return reward - DISCOUNT * riccati() * (A * s + B * u) ** 2


@pytest.mark.parametrize("name", ["ddpg", "td3", "sac", "redq", "tqc"])
def test_the_critic_is_the_closed_form(name: str) -> None:
    """Root mean square error over states and actions, within 2 % of the root mean square value."""
    case = CASES[name]
    settings: dict[str, Any] = {
        **case.algo,
        "discount": DISCOUNT,
        "batch_size": 128,
        "replay_ratio": 64.0,
        "learning_rate": 3e-3,
        "learning_rate_schedule": "linear",
        "target_update_tau": 0.02,
    }
    if "temperature" in case.cls.__dataclass_fields__ and case.cls.policy == "gaussian":
        from rlpyt.algos.qpg import Temperature

        settings["temperature"] = Temperature(initial=1e-4, learn=False)
    if name == "tqc":
        settings["n_dropped"] = 0
    made = replace(case, env=EnvConfig(id=Linear, time_limit=10), algo=settings).runner(8_000)
    made.train()
    grid = torch.linspace(-1.0, 1.0, 21)
    s, u = (axis.reshape(-1, 1) for axis in torch.meshgrid(grid, grid, indexing="ij"))
    none: Any = None
    algo: Any = made.algo
    with torch.no_grad():
        q = algo.online.critic(*AgentInputs(s, none, none, none), NoState(), u).mean((0, -1))
    expected = best_q(s, u).squeeze(1)
    error = (q - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    print(name, error.item())
    assert error < 0.02
