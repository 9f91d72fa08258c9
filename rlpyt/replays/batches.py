"""What a replay hands out: batches of transitions, and of sequences."""

from typing import Any

import torch
from torch import Tensor

from rlpyt.data import AgentInputs
from rlpyt.utils.collections import NamedArrayTuple

__all__ = ["ReplaySamples", "ReplaySequences"]


class ReplaySamples(NamedArrayTuple):
    """N transitions, every leaf ``[N, ...]``.

    The target of a value V is ``return_ + next_discount * V(next_observation)``, with the true next
    observation also at a truncation. Where ``next_discount`` is 0, ``next_observation`` means
    nothing.
    """

    observation: Any  # tree
    prev_action: Any  # tree; zero where reset
    prev_reward: Tensor  # float32; zero where reset
    reset: Tensor  # bool: an episode starts here
    action: Any  # tree
    return_: Tensor  # float32: Σ_{i<k} γ^i r_{t+i}, k steps up to the first end of an episode
    next_observation: Any  # tree: k steps on
    next_prev_action: Any  # tree: the action before that
    next_prev_reward: Tensor  # float32: and its reward
    next_discount: Tensor  # float32: γ^k; 0 where the episode terminated
    indices: Tensor  # int64: for update_priorities
    is_weight: Tensor | None = None  # float32: importance weights; None: sampled uniformly

    @property
    def agent_inputs(self) -> AgentInputs:
        """What the model saw."""
        return AgentInputs(self.observation, self.prev_action, self.prev_reward, self.reset)

    @property
    def next_inputs(self) -> AgentInputs:
        """What the model sees k steps on."""
        reset = torch.zeros_like(self.reset)
        return AgentInputs(
            self.next_observation, self.next_prev_action, self.next_prev_reward, reset
        )


class ReplaySequences(NamedArrayTuple):
    """N sequences of L = burn_in + sequence_length + n_step_return observations, time-major.

    Each is of one episode. Where that ends at step e, the observation of e + 1 is the true final
    one if it was truncated, and nothing after is ``valid``. Where it starts within the burn-in, the
    steps before its start are filler, marked ``reset`` like the start, so that the state is zero
    there.

    The learnt steps are the ``sequence_length`` after the burn-in; the target at step ``t`` of them
    is ``return_[t] + next_discount[t] * V[next_step[t]]``, V being of all L observations.
    """

    observation: Any  # tree [L, N, ...]
    prev_action: Any  # tree [L, N, ...]; zero where reset
    prev_reward: Tensor  # [L, N] float32; zero where reset
    reset: Tensor  # [L, N] bool
    action: Any  # tree [length, N, ...]
    return_: Tensor  # [length, N] float32, over n steps or up to the episode's end
    next_step: Tensor  # [length, N] int64, in 0 ... L - 1: the observation to bootstrap from
    next_discount: Tensor  # [length, N] float32: γ^k for the k steps to there; 0 if terminated
    valid: Tensor  # [length, N] bool
    init_rnn_state: Any  # tree [N, ...]: recorded before the first observation; None without
    indices: Tensor  # [N] int64: for update_priorities
    is_weight: Tensor | None = None  # [N] float32: importance weights; None: sampled uniformly

    @property
    def agent_inputs(self) -> AgentInputs:
        """What the model saw, [L, N, ...]."""
        return AgentInputs(self.observation, self.prev_action, self.prev_reward, self.reset)
