"""What NGU and Agent57 keep of each step beside the environment's: arm, intrinsic reward and the
probability of the action; and what Retrace takes of a sequence.

They are kept beside the observation, so that any storage of the replay will do.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlpyt.data import AgentInputs, EnvSpaces, Samples
from rlpyt.models.armed_q import Armed, ArmedOutputs
from rlpyt.ops.q_learning import at_action
from rlpyt.ops.value_scaling import transformed_retrace_return
from rlpyt.replays.batches import ReplaySequences
from rlpyt.utils.collections import NamedArrayTuple

__all__ = [
    "Recorded",
    "RetraceSteps",
    "Unrolled",
    "armed_inputs",
    "cross_mixed",
    "recorded",
    "recorded_spaces",
    "retrace_target",
]


class Recorded(NamedArrayTuple):
    """What is stored as the observation of a step. Of a final observation only ``arm`` and
    ``observation`` mean anything.
    """

    arm: Tensor  # [...] int64
    intrinsic: Tensor  # [...] float32: r_i of the step from here
    observation: Any  # tree [..., *shape], of the environment
    probability: Tensor  # [...] float32: μ(a|s) of the action taken here


def recorded_spaces(env_spaces: EnvSpaces, n_arms: int) -> EnvSpaces:
    """The spaces of :class:`Recorded` steps of an environment with ``env_spaces``."""
    number = spaces.Box(-np.inf, np.inf, (), np.float32)
    observation = {
        "arm": spaces.Discrete(n_arms),
        "intrinsic": number,
        "observation": env_spaces.observation,
        "probability": number,
    }
    return EnvSpaces(spaces.Dict(observation), env_spaces.action)


def recorded(samples: Samples, intrinsic: Tensor) -> Samples:
    """``samples`` [T, B] with intrinsic rewards [T, B] and what the agent tells, as a replay of
    :func:`recorded_spaces` takes them.
    """
    arm, probability = samples.agent_info.arm, samples.agent_info.probability
    return samples._replace(
        observation=Recorded(arm, intrinsic, samples.observation, probability),
        final_observation=Recorded(arm, intrinsic, samples.final_observation, probability),
    )


def armed_inputs(batch: ReplaySequences) -> AgentInputs:
    """What the network saw, [L, N, ...]."""
    seen = batch.observation
    return batch.agent_inputs._replace(observation=Armed(seen.arm, seen.observation))


def cross_mixed(
    batch: ReplaySequences, n_arms: int, share: float, rng: np.random.Generator
) -> ReplaySequences:
    """``batch`` with about ``share`` of its sequences given to arms drawn evenly, so that arms that
    seek reward learn from what arms that seek novelty found: the cross mixture ratio of NGU.
    """
    if share == 0.0:
        return batch
    seen, device = batch.observation, batch.action.device
    n = batch.action.shape[1]
    drawn = torch.from_numpy(rng.integers(n_arms, size=n)).to(device)
    given = torch.from_numpy(rng.random(n) < share).to(device)
    return batch._replace(observation=seen._replace(arm=torch.where(given, drawn, seen.arm)))


class RetraceSteps(NamedTuple):
    """The learnt steps of N sequences, [length, N] each; steps that are not valid are finite."""

    arm: Tensor  # int64
    reward: Tensor  # r_e
    intrinsic: Tensor  # r_i
    action: Tensor  # int64
    probability: Tensor  # μ(a|s)
    next_row: Tensor  # int64: the row of the true next observation, counted from the first step
    terminated: Tensor  # bool
    done: Tensor  # bool: the episode ends, or what is known of it

    @staticmethod
    def of(batch: ReplaySequences, burn_in: int) -> "RetraceSteps":
        """The steps of ``batch``, whose replay has n_step_return=1."""
        length = batch.action.shape[0]
        seen = batch.observation[burn_in : burn_in + length]
        goes_on = torch.cat([batch.valid[1:], torch.zeros_like(batch.valid[:1])])
        return RetraceSteps(
            arm=seen.arm,
            reward=batch.return_,
            intrinsic=seen.intrinsic,
            action=batch.action,
            probability=seen.probability,
            next_row=batch.next_step - burn_in,
            terminated=batch.next_discount == 0.0,
            done=~goes_on,
        )


def retrace_target(
    values: Tensor,
    greedy: Tensor,
    steps: RetraceSteps,
    reward: Tensor,
    discount: Tensor,
    *,
    retrace_lambda: float,
    eps: float,
) -> Tensor:
    """Transformed Retrace targets of the learnt steps, [length, N], for a greedy policy.

    Args:
        values: Q⁻ of the target network, [length + 1, N, A].
        greedy: a* of the target policy, [length + 1, N] int64.
        steps: The steps.
        reward: Of these steps, [length, N].
        discount: γ, [length, N].
        retrace_lambda: λ.
        eps: ε of h.
    """
    length = len(reward)
    next_value = at_action(values, greedy).gather(0, steps.next_row)
    agrees = (steps.action == greedy[:length]).to(values.dtype)
    return transformed_retrace_return(
        reward,
        at_action(values[:length], steps.action),
        next_value.masked_fill(steps.terminated, 0.0),
        agrees / steps.probability.clamp(min=1e-6),
        steps.done,
        discount,
        retrace_lambda=retrace_lambda,
        eps=eps,
    )


class Unrolled(NamedTuple):
    """What the networks give for the learnt steps of N sequences, and for one row after them."""

    online: ArmedOutputs  # [length + 1, N, A]
    target: ArmedOutputs  # [length + 1, N, A], without gradient
    greedy: Tensor  # a* of each arm's policy by the online network, [length + 1, N] int64
    steps: RetraceSteps  # [length, N]
    discount: Tensor  # γ_j, [length, N]
