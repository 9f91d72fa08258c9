"""Agent and Actor: an agent is model and distribution; an actor is an agent acting in one group of
environments.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.data import AgentInputs, AgentStep, EnvSpaces, Samples
from rlpyt.utils.buffer import buffer_map, buffer_to, leaves
from rlpyt.utils.device import pinned_like
from rlpyt.utils.seed import Stream, generator, generator_state, load_generator_state

__all__ = ["Actor", "Agent", "Exploration"]


class Exploration(NamedTuple):
    """Whose actions are drawn, and when."""

    env_index: int  # global
    n_envs: int  # of the whole run
    steps: int | None = None  # environment steps of the run before this batch; None: evaluation


@dataclass(kw_only=True)
class Agent(ABC):
    """A model and a distribution. Recurrent state goes in and comes out; nothing is kept between
    calls.
    """

    @abstractmethod
    def initialize(self, env_spaces: EnvSpaces, *, seed: int, device: torch.device) -> None:
        """Build the model for ``env_spaces`` on ``device``, its parameters drawn from ``seed``."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the model is."""

    @property
    @abstractmethod
    def noise_size(self) -> int:
        """Numbers of noise that one action of one environment takes."""

    @abstractmethod
    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...], where: Exploration
    ) -> np.ndarray[Any, Any]:
        """Noise for ``leading`` actions of one environment, [*leading, noise_size] float32.

        How far to explore, and whether to, is part of the noise: ``where`` tells whose and when.
        """

    @abstractmethod
    def initial_state(self, B: int) -> Any:
        """Recurrent state at the start of an episode, [B, ...]."""

    @abstractmethod
    def step(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """Act in B environments: a sample for ``noise`` [B, noise_size], the mode without."""

    @abstractmethod
    def act(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """As ``step``, but what no action depends on may be ``None``, for ``finish`` to fill in."""

    @abstractmethod
    def finish(self, samples: Samples) -> None:
        """Fill in what ``act`` left out of ``samples.agent_info`` [T, B, ...]."""

    @abstractmethod
    def value(self, inputs: AgentInputs, state: Any) -> Tensor:
        """The state value V, [B], where the agent has one."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take parameters and buffers."""


@final
class Actor:
    """An agent acting in one group of B environments: owns that group's recurrent state and
    generators.

    Noise for a whole batch of T steps is drawn ahead, each environment's from its own generator, so
    that actions do not depend on which environments share a group.
    """

    def __init__(
        self,
        agent: Agent,
        env_indices: Sequence[int],
        *,
        seed: int,
        stream: Stream = Stream.ACTION,
        keys: tuple[int, ...] = (),
        greedy: bool = False,
        n_envs: int | None = None,
    ) -> None:
        """Act for the environments with these global indices, of ``n_envs`` in all (``None``: just
        these); ``greedy`` takes modes and draws nothing.
        """
        self.agent = agent
        self.env_indices = tuple(env_indices)
        self.B = len(env_indices)
        self._n_envs = n_envs or self.B
        self.state: Any = agent.initial_state(self.B)
        self._stateless = len(self.state) == 0
        self._on_host = agent.device.type == "cpu"
        self._rngs = (
            [] if greedy else [generator(seed, stream, *keys, index) for index in env_indices]
        )
        self._staging: AgentInputs | None = None
        self.transfer_seconds = 0.0  # handing inputs to a device
        self._noise: tuple[Tensor, ...] = ()  # one row a step; drawn by begin_batch
        self._step = 0

    def begin_batch(self, T: int, steps: int | None = None) -> None:
        """Draw the noise of the next ``T`` steps, after ``steps`` of the run; ``None`` in an
        evaluation.
        """
        self._step = 0
        if self._rngs:
            drawn = [
                self.agent.draw_noise(rng, (T,), Exploration(index, self._n_envs, steps))
                for rng, index in zip(self._rngs, self.env_indices, strict=True)
            ]
            noise = torch.from_numpy(np.stack(drawn, axis=1)).to(self.agent.device)
            self._noise = noise.unbind(0)

    def __call__(self, inputs: AgentInputs) -> AgentStep:
        """One step of the group; state is zero where ``inputs.reset``."""
        if not self._on_host:
            inputs = self._to_device(inputs)
        if not self._stateless:
            self.state = _zero_where(self.state, inputs.reset)
        noise = self._noise[self._step] if self._rngs else None
        self._step += 1
        step, self.state = self.agent.act(inputs, self.state, noise)
        return step

    def _to_device(self, inputs: AgentInputs) -> AgentInputs:
        """Through pinned memory, from where the device fetches by itself.

        What is computed from the last inputs has been read back since, so the memory is free.
        """
        start = time.perf_counter()
        if self._staging is None:
            self._staging = pinned_like(inputs)
        for pinned, leaf in zip(leaves(self._staging), leaves(inputs), strict=True):
            pinned.copy_(leaf)
        moved: AgentInputs = buffer_to(self._staging, self.agent.device)
        self.transfer_seconds += time.perf_counter() - start
        return moved

    def value(self, inputs: AgentInputs) -> Tensor:
        """V of ``inputs``, [B], with the state as the last step left it, which does not advance."""
        if not self._on_host:
            inputs = self._to_device(inputs)
        return self.agent.value(inputs, self.state).cpu()

    def state_dict(self) -> dict[str, Any]:
        """Recurrent state and generators."""
        return {
            "state": buffer_map(lambda leaf: leaf.clone(), self.state),
            "generators": [generator_state(rng) for rng in self._rngs],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self.state = buffer_to(state["state"], self.agent.device)
        for rng, saved in zip(self._rngs, state["generators"], strict=True):
            load_generator_state(rng, saved)


def _zero_where(state: Any, reset: Tensor) -> Any:
    def zero(leaf: Tensor) -> Tensor:
        mask = reset.reshape(-1, *[1] * (leaf.dim() - 1))
        return leaf.masked_fill(mask, 0.0)

    return buffer_map(zero, state)
