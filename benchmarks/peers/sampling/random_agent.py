"""The agent of the runs without a policy: what is measured is the sampler."""

from typing import Any, final

import gymnasium
import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.base import Agent, Exploration
from rlpyt.data import AgentInputs, AgentStep, EnvSpaces, NoState, Samples
from rlpyt.utils.collections import NamedArrayTuple

__all__ = ["RandomAgent"]


class NoInfo(NamedArrayTuple):
    """A random agent has nothing to say of its actions."""


@final
class RandomAgent(Agent):
    """Uniform actions: they are the noise, which is drawn ahead for a whole batch."""

    def initialize(self, env_spaces: EnvSpaces, *, seed: int, device: torch.device) -> None:
        """Remember the action space."""
        self._space = env_spaces.action
        self._is_discrete = isinstance(self._space, gymnasium.spaces.Discrete)

    @property
    def device(self) -> torch.device:
        """Nothing is computed; what there is, is on the host."""
        return torch.device("cpu")

    @property
    def noise_size(self) -> int:
        """Numbers of one action."""
        return 1 if self._is_discrete else int(np.prod(self._space.shape or (), dtype=int))

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...], where: Exploration
    ) -> np.ndarray[Any, Any]:
        """Actions, [*leading, noise_size] float32."""
        space = self._space
        if isinstance(space, gymnasium.spaces.Discrete):
            return rng.integers(space.n, size=(*leading, 1)).astype(np.float32)
        assert isinstance(space, gymnasium.spaces.Box)
        drawn = rng.uniform(space.low, space.high, size=(*leading, *space.shape))
        return drawn.astype(np.float32)

    def initial_state(self, B: int) -> Any:
        """No state."""
        return NoState()

    def step(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """The noise [B, noise_size] as actions."""
        assert noise is not None
        return AgentStep(noise[:, 0] if self._is_discrete else noise, NoInfo()), state

    def act(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """As ``step``."""
        return self.step(inputs, state, noise)

    def finish(self, samples: Samples) -> None:
        """Nothing was left out."""

    def value(self, inputs: AgentInputs, state: Any) -> Tensor:
        """Zeros, [B]."""
        return torch.zeros_like(inputs.prev_reward)

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take."""
