"""Decoupled Advantage Actor-Critic, DAAC (Raileanu & Fergus 2021, arXiv:2102.10330), and with
``augmentation`` DrDAAC: DAAC regularised as DrAC is (Raileanu et al. 2020, arXiv:2006.12862).

The policy's network never learns the value, which tells instances of a task apart, but the
advantage of actions. The value has a network, an optimizer and epochs of its own.

Differs from the paper, as the authors' release does: the advantage head learns the normalised
advantages; the value is clipped. Where the value learns in every N_π-th iteration only, it does so
from that iteration's batch. Action spaces are any, the advantage head takes actions as features.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from rlpyt.algos.augmenter import Augmenter
from rlpyt.algos.opt_info import step_info
from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.pg.agreement import policy_agreement_loss, value_agreement_loss
from rlpyt.algos.pg.batch import LossInputs
from rlpyt.algos.pg.epochs import EpochsAlgorithm, Learning, decoupled_model
from rlpyt.algos.pg.ppo import ppo_loss, squared_value_error
from rlpyt.augment.base import Augmentation
from rlpyt.data import AgentInputs, OptInfo
from rlpyt.ops.losses import valid_mean

__all__ = ["DAAC", "DaacPolicyLoss", "DaacValueLoss", "daac_policy_loss", "daac_value_loss"]


class DaacPolicyLoss(NamedTuple):
    """The policy network's loss and its parts, scalars."""

    loss: Tensor
    piLoss: Tensor
    advantageLoss: Tensor
    entropy: Tensor
    perplexity: Tensor
    approxKl: Tensor
    clipFraction: Tensor
    policyAgreementLoss: Tensor


class DaacValueLoss(NamedTuple):
    """The value network's loss and its part, scalars."""

    valueLoss: Tensor
    valueAgreementLoss: Tensor


def daac_policy_loss(
    batch: LossInputs,
    log_prob: Tensor,
    predicted: Tensor,
    entropy: Tensor,
    *,
    ratio_clip: Tensor,
    advantage_loss_coeff: float,
    entropy_loss_coeff: float,
) -> DaacPolicyLoss:
    """The policy network's objective, as a loss to minimise.

        L = -E[min(r Â, clip(r, 1-ε, 1+ε) Â)] + α_a E[(A_θ(s, a) - Â)²] - α_s E[H(π)]

    where r = π(a|s) / π_old(a|s) and Â is the batch's advantage.

    Args:
        batch: what was sampled; means are over its ``valid`` entries.
        log_prob: log π(a|s), [T, B] or [N], as the two below.
        predicted: A_θ(s, a).
        entropy: H(π(·|s)).
        ratio_clip: ε, a scalar tensor.
        advantage_loss_coeff: α_a.
        entropy_loss_coeff: α_s.
    """
    parts = ppo_loss(  # of which the regression is on the advantage
        batch._replace(return_=batch.advantage),
        log_prob,
        predicted,
        entropy,
        ratio_clip=ratio_clip,
        value_clip=None,
        value_loss_coeff=2.0 * advantage_loss_coeff,
        entropy_loss_coeff=entropy_loss_coeff,
    )
    return DaacPolicyLoss(*parts, torch.zeros_like(parts.loss))


def daac_value_loss(batch: LossInputs, value: Tensor, value_clip: float | None) -> Tensor:
    """The value network's objective, a scalar: E[½ (R - V)²].

    With ``value_clip`` δ it is E[½ max((R - V)², (R - V_old - clip(V - V_old, ±δ))²)].
    """
    return 0.5 * valid_mean(squared_value_error(batch, value, value_clip), batch.valid)


@final
@dataclass(kw_only=True)
class DAAC(EpochsAlgorithm):
    """DAAC for every action space, feed-forward.

    Its agent is ``PgAgent(ModelCls=DecoupledPgModel, model_kwargs={"auxiliary": "advantage"})``.
    With an ``augmentation`` f it is DrDAAC:

        L_policy + α_r E[KL(π(·|s) || π(·|f(s)))],   L_value + α_r E[(V(s) - V(f(s)))²]
    """

    value_clip: float | None = 0.2
    value_epochs: int = 9  # E_V
    value_interval: int = 1  # N_π, iterations from one update of the value to the next
    advantage_loss_coeff: float = 0.25  # α_a
    augmentation: Augmentation | None = None  # f; None: DAAC, else DrDAAC
    augmentation_loss_coeff: float = 0.1  # α_r

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Of the coefficients and the value's epochs."""
        names = ("advantage_loss_coeff", "augmentation_loss_coeff")
        counts = dict.fromkeys(("value_epochs", "value_interval"), (1, math.inf))
        return {**dict.fromkeys(names, (0.0, math.inf)), **counts}

    def build(self, seed: int) -> dict[str, GradientStep]:
        """A step of the policy's network, and one of the value's."""
        self._model = decoupled_model(self, self.agent.model, "advantage")
        if self.augmentation is not None:
            seen = self.agent.env_spaces.observation
            self.augmenter = Augmenter(self.augmentation, seen, seed=seed, world=self.world)
        return {
            "policy": self.step_of(self._model.policy_network, self._policy_loss),
            "value": self.step_of(self._model.value_network, self._value_loss),
        }

    def updates_per_itr(self) -> int:
        """Gradient steps of the policy or the value, whichever has more, in one
        ``optimize_agent``.
        """
        return self.minibatches * max(self.epochs, self.value_epochs // self.value_interval)

    def samples_per_itr(self) -> int:
        """Samples consumed by these."""
        return self.updates_per_itr() * self.batch_spec.size // self.minibatches

    def learn(self, itr: int, learning: Learning) -> OptInfo:
        """The policy's epochs, then, where it is due, the value's."""
        opt_info = step_info(self.run_epochs("policy", self.epochs, learning), "gradNorm")
        if itr % self.value_interval == self.value_interval - 1:
            steps = self.run_epochs("value", self.value_epochs, learning)
            opt_info |= step_info(steps, "valueGradNorm")
        return opt_info

    def _policy_loss(
        self, batch: LossInputs, state: Any, ratio_clip: Tensor, augmented: AgentInputs | None
    ) -> tuple[Tensor, DaacPolicyLoss]:
        agent, observation = self.agent, batch.agent_inputs.observation
        params, predicted = self._model.policy_and_auxiliary(observation, batch.action)
        dist_info = agent.dist_info(params, observation)
        parts = daac_policy_loss(
            batch,
            agent.distribution.log_prob(dist_info, batch.action),
            predicted,
            agent.distribution.entropy(dist_info),
            ratio_clip=ratio_clip,
            advantage_loss_coeff=self.advantage_loss_coeff,
            entropy_loss_coeff=self.entropy_loss_coeff,
        )
        if augmented is None:
            return parts.loss, parts
        params = self._model.policy_params(augmented.observation)
        seen = agent.dist_info(params, augmented.observation)
        agreement = policy_agreement_loss(agent.distribution, dist_info, seen, batch.valid)
        loss = parts.loss + self.augmentation_loss_coeff * agreement
        return loss, parts._replace(loss=loss, policyAgreementLoss=agreement)

    def _value_loss(
        self, batch: LossInputs, state: Any, ratio_clip: Tensor, augmented: AgentInputs | None
    ) -> tuple[Tensor, DaacValueLoss]:
        value = self.agent.value(batch.agent_inputs, state)
        value_loss = daac_value_loss(batch, value, self.value_clip)
        if augmented is None:
            return value_loss, DaacValueLoss(value_loss, torch.zeros_like(value_loss))
        seen = self.agent.value(augmented, state)
        agreement = value_agreement_loss(value, seen, batch.valid)
        loss = value_loss + self.augmentation_loss_coeff * agreement
        return loss, DaacValueLoss(value_loss, agreement)
