"""Critics of a linear-quadratic problem, against its closed form."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from qpg_fakes import CASES

from rlpyt.algos.qpg import Temperature
from rlpyt.data import AgentInputs, NoState
from rlpyt.envs.build import EnvConfig

A, B, STATE_COST, ACTION_COST, DISCOUNT = 0.9, 0.5, 1.0, 0.5, 0.9
"""s' = A s + B u, r = -(STATE_COST s² + ACTION_COST u²)"""


COLD = Temperature(initial=1e-4, learn=False)
WITHOUT_BIAS: dict[str, dict[str, Any]] = {
    "td3": {"target_noise_std": 0.0},  # it costs what it costs
    "sac": {"temperature": COLD},
    "redq": {"temperature": COLD},
}


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


@pytest.mark.learning
@pytest.mark.parametrize("name", ["ddpg", "td3", "sac", "redq"])
def test_the_critic_is_the_closed_form(name: str) -> None:
    """Root mean square error over states and actions, within 2 % of the root mean square value.

    Not of TQC, whose critic regresses quantiles: the mean of those comes to 2 to 3 %.
    """
    case = CASES[name]
    settings: dict[str, Any] = {
        **case.algo,
        "discount": DISCOUNT,
        "batch_size": 128,
        "replay_ratio": 128.0,
        "learning_rate": 1e-3,
        "learning_rate_schedule": "linear",
        "target_update_tau": 0.02,
        **WITHOUT_BIAS.get(name, {}),
    }
    case = replace(
        case,
        env=EnvConfig(id=Linear, time_limit=10),
        algo=settings,
        critic={"hidden_sizes": (64, 64)},
        exploration={"random_steps": 1_000, "noise_std": 0.3},
    )
    made = case.runner(20_000)
    made.train()
    grid = torch.linspace(-1.0, 1.0, 21)
    s, u = (axis.reshape(-1, 1) for axis in torch.meshgrid(grid, grid, indexing="ij"))
    none: Any = None
    algo: Any = made.algo
    with torch.no_grad():
        q = algo.online.critic(*AgentInputs(s, none, none, none), NoState(), u).mean((0, -1))
    expected = best_q(s, u).squeeze(1)
    error = (q - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < 0.02, f"{error:.1%}"
