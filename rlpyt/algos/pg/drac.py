"""Data-regularised Actor-Critic, DrAC (Raileanu et al. 2020, arXiv:2006.12862).

PPO with two terms more: policy and value shall be the same for an observation and its augmentation.

Differs from the paper: the augmentation is given, not chosen by a bandit among several (UCB-DrAC);
see :mod:`rlpyt.algos.pg.agreement` for what differs from the authors' release.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

from torch import Tensor

from rlpyt.algos.augmenter import Augmenter
from rlpyt.algos.opt_info import step_info
from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.pg.agreement import policy_agreement_loss, value_agreement_loss
from rlpyt.algos.pg.batch import LossInputs
from rlpyt.algos.pg.epochs import EpochsAlgorithm, Learning
from rlpyt.algos.pg.ppo import evaluated_ppo_loss
from rlpyt.augment.base import Augmentation
from rlpyt.augment.geometry import RandomShift
from rlpyt.data import AgentInputs, OptInfo

__all__ = ["DrAC", "DracLoss"]


class DracLoss(NamedTuple):
    """The loss and its parts, scalars."""

    loss: Tensor
    piLoss: Tensor
    valueLoss: Tensor
    entropy: Tensor
    perplexity: Tensor
    approxKl: Tensor
    clipFraction: Tensor
    policyAgreementLoss: Tensor
    valueAgreementLoss: Tensor


@final
@dataclass(kw_only=True)
class DrAC(EpochsAlgorithm):
    """DrAC for every action space, feed-forward or recurrent, with an augmentation that fits what
    is observed.

        L = L_PPO + α_r (G_π + G_V),   a loss to minimise

    Images are augmented, or vectors of floats where there are none
    (:class:`~rlpyt.algos.augmenter.Augmenter`).
    """

    epochs: int = 3
    value_clip: float | None = 0.2
    value_loss_coeff: float = 0.5  # c₁, of ½ (R - V)²
    augmentation: Augmentation = field(  # f; "crop" in the paper
        default_factory=lambda: RandomShift(pad=12)
    )
    augmentation_loss_coeff: float = 0.1  # α_r

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Of the coefficients."""
        names = ("value_loss_coeff", "augmentation_loss_coeff")
        return dict.fromkeys(names, (0.0, math.inf))

    def build(self, seed: int) -> dict[str, GradientStep]:
        """One step, of the whole model."""
        seen = self.agent.env_spaces.observation
        self.augmenter = Augmenter(
            self.augmentation,
            seen,
            seed=seed,
            world=self.world,
            instead="use PPO: DrAC needs images of uint8 or floats, or vectors of floats",
        )
        return {"both": self.step_of(self.agent.model, self._loss)}

    def updates_per_itr(self) -> int:
        """Gradient steps in one ``optimize_agent``."""
        return self.epochs * self.minibatches

    def samples_per_itr(self) -> int:
        """Samples consumed by one ``optimize_agent``."""
        return self.epochs * self.batch_spec.size

    def learn(self, itr: int, learning: Learning) -> OptInfo:
        """PPO's epochs, each step with its minibatch augmented."""
        return step_info(self.run_epochs("both", self.epochs, learning), "gradNorm")

    def _loss(
        self, batch: LossInputs, state: Any, ratio_clip: Tensor, augmented: AgentInputs
    ) -> tuple[Tensor, DracLoss]:
        parts, found = evaluated_ppo_loss(self, self.agent, batch, state, ratio_clip)
        other = self.agent.evaluate(augmented, state)
        policy = policy_agreement_loss(
            self.agent.distribution, found.dist_info, other.dist_info, batch.valid
        )
        values = value_agreement_loss(found.value, other.value, batch.valid)
        loss = parts.loss + self.augmentation_loss_coeff * (policy + values)
        return loss, DracLoss(loss, *parts[1:], policy, values)
