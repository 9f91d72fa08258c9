"""IMPALA: Importance Weighted Actor-Learner Architectures (Espeholt et al. 2018, arXiv:1802.01561).

An actor-critic that learns from what older parameters have sampled: V-trace corrects value targets
and policy gradients for the lag. The residual network of the paper is the agent's
``model_kwargs.image="impala"``.

Differs from the paper: losses are means over the batch instead of sums, so ``clip_grad_norm`` and
RMSProp's ``eps`` are the paper's divided by its 20 x 32 steps (eps, there under the root, as its
root). Truncated episodes bootstrap from their true final observation; there and at the batch's end
the bootstrap is the value that the acting parameters gave it, for the recurrent state that this
takes is not recorded. Rewards are clipped by the environment, if at all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor

from rlpyt.algos.pg.a2c import OneStepAlgorithm, a2c_loss
from rlpyt.algos.pg.batch import log_ratio
from rlpyt.algos.pg.vtrace import Correction, VTraceInputs, vtrace_inputs
from rlpyt.algos.schedule import Schedule
from rlpyt.data import Samples
from rlpyt.ops.losses import valid_mean

__all__ = ["IMPALA", "ImpalaLoss", "impala_loss"]


class ImpalaLoss(NamedTuple):
    """The loss and its parts, scalars; the last two tell the lag: 0 and 1 where there is none."""

    loss: Tensor
    piLoss: Tensor
    valueLoss: Tensor
    entropy: Tensor
    perplexity: Tensor
    approxKl: Tensor
    meanRho: Tensor


def impala_loss(
    batch: VTraceInputs,
    log_prob: Tensor,
    value: Tensor,
    entropy: Tensor,
    *,
    correction: Correction,
    value_loss_coeff: float,
    entropy_loss_coeff: float,
) -> ImpalaLoss:
    """The V-trace actor-critic (section 4.2), as a loss to minimise.

        L = -E[ρ_t (r_t + γ v_{t+1} - V(x_t)) log π(a_t|x_t)] + c₁ E[½ (v_t - V(x_t))²] - c₂ E[H(π)]

    where v, eq. 1, and ρ_t = min(ρ̄, π/μ) are without gradient. ``approxKl`` is the estimator
    E[(π/μ - 1) - log π/μ] of how far π has gone from μ, ``meanRho`` is E[ρ_t].

    Args:
        batch: what the policy μ sampled; means are over its ``valid`` entries.
        log_prob: log π(a|x), [T, B], as the two below.
        value: V(x).
        entropy: H(π(·|x)).
        correction: γ, λ, ρ̄ and c̄.
        value_loss_coeff: c₁.
        entropy_loss_coeff: c₂.
    """
    corrected = correction(batch, log_prob, value)
    parts = a2c_loss(
        corrected,
        log_prob,
        value,
        entropy,
        value_loss_coeff=value_loss_coeff,
        entropy_loss_coeff=entropy_loss_coeff,
    )
    with torch.no_grad():
        log_r = log_ratio(log_prob, batch.old_log_prob, batch.valid)
        ratio = torch.exp(log_r)
        approx_kl = valid_mean(ratio - 1.0 - log_r, batch.valid)
        mean_rho = valid_mean(ratio.clamp(max=correction.rho_clip), batch.valid)
    return ImpalaLoss(*parts, approx_kl, mean_rho)


@final
@dataclass(kw_only=True)
class IMPALA(OneStepAlgorithm):
    """IMPALA for every action space, feed-forward or recurrent, with the paper's settings for
    Atari.
    """

    off_policy: ClassVar[bool] = True

    rho_clip: float = 1.0  # ρ̄: what the values converge to
    c_clip: float = 1.0  # c̄: how fast
    pg_rho_clip: float = 1.0  # ρ̄ of the policy gradient
    vtrace_lambda: float = 1.0  # λ, remark 2; on-policy that of GAE
    learning_rate: float = 6e-4
    learning_rate_schedule: Schedule = "linear"
    value_loss_coeff: float = 0.5  # c₁, of ½ (v - V)²
    clip_grad_norm: float | None = 0.0625
    OptimCls: type[torch.optim.Optimizer] = torch.optim.RMSprop
    optim_kwargs: dict[str, Any] = field(default_factory=lambda: {"alpha": 0.99, "eps": 1.5e-4})

    @property
    def correction(self) -> Correction:
        """V-trace with these settings."""
        return Correction(
            discount=self.discount,
            vtrace_lambda=self.vtrace_lambda,
            rho_clip=self.rho_clip,
            c_clip=self.c_clip,
            pg_rho_clip=self.pg_rho_clip,
        )

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Of V-trace."""
        return {**self.correction.ranges, "pg_rho_clip": (1e-12, math.inf)}

    def inputs(self, samples: Samples, reward: Tensor) -> tuple[VTraceInputs, Any]:
        """What was recorded."""
        return vtrace_inputs(self.agent, samples, reward)

    def loss(
        self, batch: VTraceInputs, log_prob: Tensor, value: Tensor, entropy: Tensor
    ) -> ImpalaLoss:
        """As :func:`impala_loss`."""
        return impala_loss(
            batch,
            log_prob,
            value,
            entropy,
            correction=self.correction,
            value_loss_coeff=self.value_loss_coeff,
            entropy_loss_coeff=self.entropy_loss_coeff,
        )
