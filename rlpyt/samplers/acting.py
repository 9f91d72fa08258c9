"""Who chooses the actions of a batch: the agent here, or a process that answers for it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.base import Actor, Agent
from rlpyt.data import AgentInputs, EnvSpaces
from rlpyt.envs.spaces import example_of
from rlpyt.samplers.buffer import SampleBuffer
from rlpyt.utils.buffer import buffer_from_example, buffer_map, leaves, torchify_buffer

__all__ = ["Acting", "AgentExamples", "LocalActing", "agent_examples"]


class Acting(ABC):
    """Fills in the actions of a batch, row by row, between the steps of the environments.

    Called under ``torch.inference_mode``.
    """

    @abstractmethod
    def reset(self, keys: tuple[int, ...] = ()) -> None:
        """Start anew: no recurrent state, generators of the streams that ``keys`` name."""

    @abstractmethod
    def begin(self, steps: int | None) -> None:
        """Before the first row of a batch, after ``steps`` environment steps of the run; ``None``
        in an evaluation.
        """

    @abstractmethod
    def act(self, t: int) -> None:
        """Write the actions of row ``t``, whose observations are there."""

    @abstractmethod
    def stepped(self, t: int) -> None:
        """The environments have taken the actions of row ``t``."""

    @abstractmethod
    def finish(self) -> None:
        """After the last row: fill in what no action depended on."""

    @property
    @abstractmethod
    def transfer_seconds(self) -> float:
        """Seconds spent between host and device."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Recurrent state and generators, column by column; empty where they are elsewhere."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""


@final
@dataclass(frozen=True)
class AgentExamples:
    """What an agent returns for one environment, without leading dimensions."""

    agent_info: Any  # meta tree, as it is recorded
    acting_info: Any  # the same with None where acting leaves it to ``finish``


def agent_examples(agent: Agent, spaces: EnvSpaces) -> AgentExamples:
    """The shapes of the agent's info, from one step on zeros. Draws no random number."""
    observation = torchify_buffer(example_of(spaces.observation))
    inputs = AgentInputs(
        observation=buffer_from_example(observation, (1,), device=agent.device),
        prev_action=buffer_from_example(example_of(spaces.action), (1,), device=agent.device),
        prev_reward=torch.zeros(1, device=agent.device),
        reset=torch.zeros(1, dtype=torch.bool, device=agent.device),
    )
    if "action_mask" in getattr(inputs.observation, "_fields", ()):
        inputs.observation.action_mask.fill_(1)
    noise = torch.zeros(1, agent.noise_size, device=agent.device)
    state = agent.initial_state(1)
    with torch.inference_mode():
        whole, _state = agent.step(inputs, state, noise)
        acting, _state = agent.act(inputs, state, noise)

    def one(leaf: Tensor) -> Tensor:
        return torch.empty(leaf.shape[1:], dtype=leaf.dtype, device="meta")

    return AgentExamples(buffer_map(one, whole.agent_info), buffer_map(one, acting.agent_info))


@final
@dataclass(frozen=True)
class _GroupRow:
    """One group's part of one row."""

    inputs: AgentInputs
    next_inputs: AgentInputs
    destinations: list[Tensor]  # where action and agent_info go, leaf by leaf
    final_observation: Any
    truncated: Tensor  # bool [G]
    truncated_np: Any  # the same
    bootstrap: Tensor | None  # float32 [G]; None: no bootstrap value is asked for
    never: Tensor  # bool [G], all false


@final
class LocalActing(Acting):
    """The agent acts in this process, for groups of ``group_size`` environments each.

    The group is the unit of inference: its shape, and with it every sum of floats, is the same
    whichever process acts for it. The last group may be smaller.
    """

    def __init__(
        self,
        agent: Agent,
        buffer: SampleBuffer,
        examples: AgentExamples,
        make_actor: Callable[[slice, tuple[int, ...]], Actor],
        *,
        group_size: int | None,
    ) -> None:
        """``make_actor(columns, keys)`` makes the actor of some columns of ``buffer``."""
        self.agent = agent
        self._buffer = buffer
        self._make_actor = make_actor
        size = group_size or buffer.B
        self._spans = [slice(b, min(b + size, buffer.B)) for b in range(0, buffer.B, size)]
        pattern = examples.acting_info
        self._rows = [
            [_group_row(buffer, t, span, pattern) for span in self._spans] for t in range(buffer.T)
        ]
        self.reset()

    def reset(self, keys: tuple[int, ...] = ()) -> None:
        """Make new actors."""
        self.actors = [self._make_actor(span, keys) for span in self._spans]

    def begin(self, steps: int | None) -> None:
        """Draw the noise of the batch."""
        for actor in self.actors:
            actor.begin_batch(self._buffer.T, steps)

    def act(self, t: int) -> None:
        """Every group's actor takes its step."""
        for actor, row in zip(self.actors, self._rows[t], strict=True):
            step = actor(row.inputs)
            for destination, leaf in zip(row.destinations, leaves(step), strict=True):
                destination.copy_(leaf)

    def stepped(self, t: int) -> None:
        """Bootstrap values, where episodes were truncated and in the last row."""
        last = t == self._buffer.T - 1
        for actor, row in zip(self.actors, self._rows[t], strict=True):
            if row.bootstrap is not None and (last or np.count_nonzero(row.truncated_np)):
                _write_bootstrap(actor, row, row.bootstrap, last)

    @property
    def transfer_seconds(self) -> float:
        """Seconds spent between host and device."""
        return sum(actor.transfer_seconds for actor in self.actors)

    def finish(self) -> None:
        """Fill in the whole batch's leaves that acting left out."""
        for actor, span in zip(self.actors, self._spans, strict=True):
            actor.agent.finish(self._buffer.samples[:, span])

    def state_dict(self) -> dict[str, Any]:
        """Recurrent state [B, ...] and generators of all columns."""
        states = [actor.state_dict() for actor in self.actors]
        return {
            "state": buffer_map(lambda *parts: torch.cat(parts), *[s["state"] for s in states]),
            "generators": [saved for state in states for saved in state["generators"]],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        for actor, span in zip(self.actors, self._spans, strict=True):
            generators: Sequence[Any] = state["generators"][span]
            actor.load_state_dict({"state": state["state"][span], "generators": generators})


def _group_row(buffer: SampleBuffer, t: int, span: slice, pattern: Any) -> _GroupRow:
    samples = buffer.samples
    info = _only(pattern, buffer_map(lambda leaf: leaf[t, span], samples.agent_info))
    truncated, values = samples.truncated[t, span], samples.bootstrap_value
    return _GroupRow(
        inputs=buffer.inputs(t, span),
        next_inputs=buffer.inputs(t + 1, span),
        destinations=leaves(buffer_map(lambda leaf: leaf[t, span], samples.action)) + leaves(info),
        final_observation=buffer_map(lambda leaf: leaf[t, span], samples.final_observation),
        truncated=truncated,
        truncated_np=truncated.numpy(),
        bootstrap=None if values is None else values[t, span],
        never=torch.zeros_like(truncated),
    )


def _write_bootstrap(actor: Actor, row: _GroupRow, bootstrap: Tensor, last: bool) -> None:
    """V of the true next observation, for the whole group at once: a fixed batch shape gives the
    same sums in every sampler.
    """
    cut = row.truncated
    observation = buffer_map(
        lambda final, following: torch.where(
            cut.reshape(-1, *[1] * (final.dim() - 1)), final, following
        ),
        row.final_observation,
        row.next_inputs.observation,
    )
    value = actor.value(row.next_inputs._replace(observation=observation, reset=row.never))
    wanted = torch.ones_like(cut) if last else cut
    bootstrap.copy_(torch.where(wanted, value, 0.0))


def _only(pattern: Any, tree: Any) -> Any:
    """``tree`` without what is ``None`` in ``pattern``."""
    if pattern is None or not isinstance(pattern, tuple):
        return None if pattern is None else tree
    parts = [_only(child, node) for child, node in zip(pattern, tree, strict=True)]
    return type(tree)(*parts)
