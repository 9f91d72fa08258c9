"""V-trace of recorded batches: from what older parameters sampled to what a policy-gradient loss of
the present ones takes. IMPALA and APPO share it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.batch import LossInputs, log_ratio
from rlpyt.data import AgentInputs, Samples
from rlpyt.ops.off_policy import vtrace
from rlpyt.ops.returns import next_values
from rlpyt.utils.buffer import buffer_to
from rlpyt.utils.collections import NamedArrayTuple

__all__ = ["Correction", "VTraceInputs", "vtrace_inputs"]


class VTraceInputs(NamedArrayTuple):
    """What V-trace, and then the loss, is computed from: whole sequences, [T, B, ...]."""

    agent_inputs: AgentInputs
    action: Any
    old_log_prob: Tensor  # log μ(a|s), of the policy that acted
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    bootstrap_value: Tensor  # of the true next observation, where truncated and in the last row
    valid: Tensor | None = None


def vtrace_inputs(agent: PgAgent, samples: Samples, reward: Tensor) -> tuple[VTraceInputs, Any]:
    """What was recorded, on the agent's device; ``reward`` [T, B] is the samples' or a normalised
    one.

    Returns:
        The inputs [T, B, ...], and the recurrent state at the first step, [B, ...].
    """
    info = samples.agent_info
    assert samples.bootstrap_value is not None
    batch = VTraceInputs(
        agent_inputs=agent.learning_inputs(samples.agent_inputs),
        action=samples.action,
        old_log_prob=agent.distribution.log_prob(info.dist_info, samples.action),
        reward=reward,
        terminated=samples.terminated,
        truncated=samples.truncated,
        bootstrap_value=samples.bootstrap_value,
        valid=samples.valid,
    )
    return buffer_to(batch, agent.device), buffer_to(agent.first_state(info), agent.device)


@final
@dataclass(kw_only=True, frozen=True)
class Correction:
    """V-trace with its hyperparameters, as :func:`rlpyt.ops.off_policy.vtrace` names them."""

    discount: float
    vtrace_lambda: float
    rho_clip: float
    c_clip: float
    pg_rho_clip: float | None = None

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """What they may be, ends included: c̄ is at most ρ̄."""
        return {
            "vtrace_lambda": (0.0, 1.0),
            "rho_clip": (1e-12, math.inf),
            "c_clip": (0.0, self.rho_clip),
        }

    @torch.no_grad()
    def __call__(self, batch: VTraceInputs, log_prob: Tensor, value: Tensor) -> LossInputs:
        """Value targets and advantages of the policy π of ``log_prob`` = log π(a|s) [T, B], whose
        ``value`` is V(s) [T, B]; without gradient.

        Truncations bootstrap, terminations do not.
        """
        following = next_values(value, batch.bootstrap_value, batch.terminated, batch.truncated)
        found = vtrace(
            batch.reward,
            value,
            following,
            torch.exp(log_ratio(log_prob, batch.old_log_prob, batch.valid)),
            batch.terminated | batch.truncated,
            self.discount,
            vtrace_lambda=self.vtrace_lambda,
            rho_clip=self.rho_clip,
            c_clip=self.c_clip,
            pg_rho_clip=self.pg_rho_clip,
        )
        return LossInputs(
            agent_inputs=batch.agent_inputs,
            action=batch.action,
            old_log_prob=batch.old_log_prob,
            old_value=value.detach(),
            return_=found.return_,
            advantage=found.advantage,
            valid=batch.valid,
        )
