"""Self-supervised Network Distillation (Pecháč, Chovanec & Farkaš 2023, arXiv:2302.11563).

As RND, but the network that is imitated learns too, by telling observations apart: its features
stay rich where random ones say little.

Differs from the paper: of its three losses this is VICReg (Bardes et al. 2022, arXiv:2105.04906);
the two views of it are an observation and the next one of the episode, which every space has.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, final

import torch
from gymnasium import Space
from torch import Tensor

from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.checks import check_numbers
from rlpyt.rewards.features import FeatureNetwork, FeatureOptions, in_chunks
from rlpyt.rewards.learner import LearnerOptions, RewardLearner, mean_report
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
    observation_scaling,
)
from rlpyt.rewards.rnd import distillation_error
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.seed import Stream, seed_int, seeded_init

__all__ = ["SND", "SndLoss", "VicRegWeights", "vicreg_loss"]


class VicRegWeights(NamedTuple):
    """What the terms of VICReg count for."""

    invariance: float = 1.0  # λ
    variance: float = 1.0  # μ
    covariance: float = 0.04  # ν


class SndLoss(NamedTuple):
    """The loss and its parts, means over a minibatch."""

    loss: Tensor  # their sum
    distillationLoss: Tensor  # a column's name
    targetLoss: Tensor  # a column's name


def vicreg_loss(first: Tensor, second: Tensor, valid: Tensor, weights: VicRegWeights) -> Tensor:
    """Features that agree on two views z, z' of a thing, vary between things, and do not repeat
    each other (arXiv:2105.04906, eq. 1 to 6).

        λ mean (z - z')² + μ [v(z) + v(z')] + ν [c(z) + c(z')]
        v(z) = mean_d max(0, 1 - √(Var z_d + 10⁻⁴)),   c(z) = Σ_{i≠j} Cov(z)²_ij / d

    Args:
        first: z, [N, d].
        second: z'.
        valid: Which of the N count, bool [N].
        weights: λ, μ and ν.
    """
    count = valid.sum().clamp(min=1)
    share = (valid / count).unsqueeze(-1)
    loss = weights.invariance * (share * (first - second).square()).sum(0).mean()
    for view in (first, second):
        centered = (view - (share * view).sum(0)) * valid.unsqueeze(-1)
        covariance = centered.T @ centered / (count - 1).clamp(min=1)
        deviation = (covariance.diagonal() + 1e-4).sqrt()
        loss = loss + weights.variance * (1.0 - deviation).relu().mean()
        others = covariance - torch.diag(covariance.diagonal())
        loss = loss + weights.covariance * others.square().sum() / view.shape[-1]
    return loss


@final
class SND(IntrinsicReward):
    """r = mean_d (f̂(s') - f(s'))²; f̂ learns to lower it, f by VICReg of s and s'.

    Build it with :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        target: f.
        predictor: f̂.
        learner: Trains both.
        weights: Of the terms of f's loss.
    """

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        target: FeatureNetwork,
        predictor: FeatureNetwork,
        learner: RewardLearner,
        weights: VicRegWeights,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        check_numbers(0.0, **{f"vicreg_weights.{k}": w for k, w in weights._asdict().items()})
        self.target = target
        self.predictor = predictor
        self.learner = learner
        self.weights = weights

    @classmethod
    @for_spaces
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_envs: int,
        seed: int,
        vicreg_weights: tuple[float, float, float] = VicRegWeights(),
        feature_size: int = 128,
        hidden_sizes: Sequence[int] = (256,),
        image: ImageTrunk = "auto",
        normalize_observation: bool = True,
        reward_norm: RewardNorm = "rms",
        return_discount: float | None = None,
        learning_rate: float = 1e-4,
        batch_size: int = 256,
        epochs: int = 1,
        update_proportion: float = 1.0,
        clip_grad_norm: float | None = None,
    ) -> Self:
        """Build for these spaces.

        Args:
            observation_space: What is observed.
            action_space: Unused.
            n_envs: Environments of a batch; used with a ``return_discount`` only.
            seed: Of the networks and of the order of minibatches.
            vicreg_weights: λ, μ and ν of invariance, variance and covariance in the loss of f.
            feature_size: d, length of f's output.
            hidden_sizes: Hidden layers of both networks; f̂ has two more.
            image: How images are encoded.
            normalize_observation: By running statistics, clipped to ±5.
            reward_norm: How rewards are scaled.
            return_discount: γ of the return whose deviation scales them; ``None``: their own.
            learning_rate: Of Adam.
            batch_size: Transitions of one gradient step.
            epochs: Passes over each batch.
            update_proportion: Share of the transitions that are learned from.
            clip_grad_norm: Bound on the gradient's norm.
        """
        statistics, space = observation_scaling(observation_space, normalize_observation)
        options = FeatureOptions(feature_size, hidden_sizes, image)
        with seeded_init(seed_int(seed, Stream.REWARD)):
            target = FeatureNetwork.from_space(space, options)
            predictor = FeatureNetwork.from_space(space, options, extra_layers=2)
        learning = LearnerOptions(
            learning_rate, batch_size, epochs, update_proportion, clip_grad_norm
        )
        return cls(
            observation_statistics=statistics,
            reward_scale=RewardScale(reward_norm, discount=return_discount, n_envs=n_envs),
            target=target,
            predictor=predictor,
            learner=RewardLearner(target, predictor, options=learning, seed=seed),
            weights=VicRegWeights(*vicreg_weights),
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """r, [T, B]."""
        return in_chunks(self._error, samples.next_observation)

    def _error(self, observation: Any) -> Tensor:
        observation = self.normalized(observation)
        return distillation_error(self.predictor(observation), self.target(observation))

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Lower the error at these next observations, and tell observations apart better."""
        reports = []
        for batch in self.learner.minibatches(samples):
            valid = torch.ones_like(batch.terminated) if batch.valid is None else batch.valid
            reports.append(self.learner.step(self.loss(batch, valid), self.world, valid))
        return mean_report(reports)

    def loss(self, batch: RewardSamples, valid: Tensor) -> SndLoss:
        """Of a minibatch [N, ...], of which count those ``valid``."""
        following = self.normalized(batch.next_observation)
        first, second = self.target(self.normalized(batch.observation)), self.target(following)
        error = distillation_error(self.predictor(following), second.detach())
        distillation = error.where(valid, 0.0).sum() / valid.sum().clamp(min=1)
        target = vicreg_loss(first, second, valid, self.weights)
        return SndLoss(distillation + target, distillation.detach(), target.detach())
