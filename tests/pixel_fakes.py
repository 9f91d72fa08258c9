"""A dot on 24 x 24 pixels that is to be moved to a cross, seen in a stack of three images."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from rlpyt.agents.qpg import QpgAgent
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.algos.qpg import QpgAlgorithm
from rlpyt.cli.presets import default_runner
from rlpyt.envs.build import EnvConfig
from rlpyt.models.mlp import Nonlinearity
from rlpyt.replays.frames import FrameStorage
from rlpyt.runners.minibatch_rl import MinibatchRl

SIZE, FRAMES, LIMIT = 24, 3, 20


class Dot(gymnasium.Env):
    """The action moves the dot by up to three pixels in each direction; the reward of a step is 1
    minus its distance from the target over 12, at least 0, and an episode has 20 steps.
    """

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0, 255, (3 * FRAMES, SIZE, SIZE), np.uint8)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        self.dot, self.target = self.np_random.uniform(4.0, SIZE - 4.0, (2, 2))
        self.frames = [self._frame()] * FRAMES
        return np.concatenate(self.frames), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        self.dot = np.clip(self.dot + 3.0 * np.asarray(action), 2.0, SIZE - 2.0)
        self.frames = [*self.frames[1:], self._frame()]
        reward = max(0.0, 1.0 - float(np.linalg.norm(self.dot - self.target)) / 12.0)
        return np.concatenate(self.frames), reward, False, self.t == LIMIT, {}

    def _frame(self) -> Any:
        frame = np.full((3, SIZE, SIZE), 30, np.uint8)
        for channel, (y, x) in enumerate((self.target, self.dot)):
            y, x = round(y), round(x)
            frame[channel, y - 1 : y + 2, x - 1 : x + 2] = 255
        return frame


def awaken(model: torch.nn.Module) -> None:
    """Let rectified units start where none of their outputs is always zero."""
    for name, module in model.named_modules():
        is_hidden = isinstance(module, torch.nn.Linear) and ".hidden." in name
        if is_hidden or isinstance(module, torch.nn.Conv2d):
            module.weight.data.mul_(0.2)
            module.bias.data.add_(0.5)


def pixel_runner(
    name: str, n_steps: int = 400, *, nonlinearity: Nonlinearity = "relu", **settings: Any
) -> MinibatchRl:
    """The preset ``name`` on the dot with small layers."""
    runner = default_runner(name, EnvConfig(id=Dot))
    algo = runner.algo
    assert isinstance(algo, QpgAlgorithm)
    assert isinstance(runner.agent, QpgAgent)
    small = {"hidden_sizes": (32, 32), "feature_size": 16, "nonlinearity": nonlinearity}
    critic = {**algo.critic_kwargs, **small}
    replay = replace(algo.replay, size=20_000, storage=FrameStorage(n_frames=FRAMES))
    common: dict[str, Any] = {
        "critic_kwargs": critic,
        "replay": replay,
        "batch_size": 16,
        "replay_ratio": 8.0,
        "min_steps_learn": 100,
        "learning_rate": 1e-3,
    }
    exploration = QpgExploration(random_steps=100, noise_std_final=0.1, noise_steps=n_steps // 2)
    agent = replace(
        runner.agent,
        model_kwargs={**runner.agent.model_kwargs, **small},
        exploration=replace(exploration, noise_std=runner.agent.exploration.noise_std),
    )
    return replace(
        runner,
        algo=replace(algo, **{**common, **settings}),
        agent=agent,
        sampler=replace(runner.sampler, batch_T=5, batch_B=4),
        n_steps=n_steps,
        device="cpu",
    )
