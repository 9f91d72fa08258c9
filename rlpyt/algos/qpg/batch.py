"""What losses of off-policy actor-critics see of a batch from the replay: the steps that are
learned, and those that their targets bootstrap from.
"""

from typing import Any, NamedTuple

from torch import Tensor

from rlpyt.data import AgentInputs, NoState
from rlpyt.replays.batches import ReplaySamples, ReplaySequences

__all__ = ["QpgBatch", "States", "Steps", "sequences", "transitions"]


class States(NamedTuple):
    """The recurrent states of N sequences before the first step; nothing where feed-forward."""

    policy: Any = NoState()
    critic: Any = NoState()


class Steps(NamedTuple):
    """What networks compute at: leading dimensions are [N], or [steps, N] of sequences."""

    inputs: AgentInputs
    states: States
    target_states: States  # of the target networks


class QpgBatch(NamedTuple):
    """N transitions, every leaf [N, ...]; or N sequences, [length, N, ...]."""

    now: Steps
    following: Steps
    action: Any  # tree
    return_: Tensor  # float32
    next_discount: Tensor  # float32
    next_step: Tensor | None = None  # int64: which of ``following`` comes after; None: the same
    valid: Tensor | None = None  # bool: steps that count; None: all

    def target(self, value: Tensor) -> Tensor:
        """R + γᵏ V(s') where ``value`` is V at each of ``following``: [...], or [..., M] of M
        numbers.
        """
        return_, discount, step = self.return_, self.next_discount, self.next_step
        if value.dim() > return_.dim():
            return_, discount = return_.unsqueeze(-1), discount.unsqueeze(-1)
            if step is not None:
                step = step.unsqueeze(-1).expand(*step.shape, value.shape[-1])
        if step is not None:
            value = value.gather(0, step)
        return return_ + discount * value


def transitions(batch: ReplaySamples) -> QpgBatch:
    """Of single steps, for networks without memory."""
    none = States()
    return QpgBatch(
        Steps(batch.agent_inputs, none, none),
        Steps(batch.next_inputs, none, none),
        batch.action,
        batch.return_,
        batch.next_discount,
    )


def sequences(
    batch: ReplaySequences, burn_in: int, states: States, target_states: States
) -> QpgBatch:
    """Of what comes behind the first ``burn_in`` steps; the states are those there."""
    inputs = batch.agent_inputs
    length = batch.return_.shape[0]
    return QpgBatch(
        Steps(inputs[burn_in : burn_in + length], states, target_states),
        Steps(inputs[burn_in:], states, target_states),
        batch.action,
        batch.return_,
        batch.next_discount,
        batch.next_step - burn_in,
        batch.valid,
    )
