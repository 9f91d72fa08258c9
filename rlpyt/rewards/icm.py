"""Intrinsic Curiosity Module (Pathak et al. 2017, arXiv:1705.05363).

What cannot be foreseen is interesting, in features of what actions change: noise that no action
touches does not attract.

Differs from the paper: φ learns from the inverse loss alone; the factor η is a
:class:`rlpyt.rewards.RewardWeight`; rewards are scaled by their running deviation.
"""

from collections.abc import Sequence
from typing import Any, Self, final

from gymnasium import Space
from torch import Tensor

from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.dynamics import Dynamics, DynamicsLoss
from rlpyt.rewards.features import FeatureOptions, in_chunks
from rlpyt.rewards.learner import LearnerOptions, RewardLearner
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
    observation_scaling,
)
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.seed import Stream, seed_int, seeded_init

__all__ = ["ICM"]


@final
class ICM(IntrinsicReward):
    """r = ½ ‖φ̂(s') - φ(s')‖² (eq. 6): the error of predicting the next features.

    Build it with :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        dynamics: φ, the inverse and the forward model.
        learner: Trains them.
    """

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        dynamics: Dynamics,
        learner: RewardLearner,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        self.dynamics = dynamics
        self.learner = learner

    @classmethod
    @for_spaces
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_envs: int,
        seed: int,
        feature_size: int = 128,
        hidden_sizes: Sequence[int] = (256,),
        model_sizes: Sequence[int] = (256,),
        image: ImageTrunk = "auto",
        forward_weight: float = 0.2,
        normalize_observation: bool = False,
        reward_norm: RewardNorm = "rms",
        learning_rate: float = 1e-3,
        batch_size: int = 256,
        epochs: int = 1,
        update_proportion: float = 1.0,
        clip_grad_norm: float | None = None,
    ) -> Self:
        """Build for these spaces.

        Args:
            observation_space: What is observed.
            action_space: Box, Discrete, MultiDiscrete or MultiBinary.
            n_envs: Unused.
            seed: Of the networks and of the order of minibatches.
            feature_size: d, length of φ.
            hidden_sizes: Hidden layers of φ.
            model_sizes: Hidden layers of the inverse and of the forward model.
            image: How images are encoded.
            forward_weight: β, of the forward loss; 1 - β is the inverse loss's.
            normalize_observation: By running statistics, clipped to ±5.
            reward_norm: How rewards are scaled.
            learning_rate: Of Adam.
            batch_size: Transitions of one gradient step.
            epochs: Passes over each batch.
            update_proportion: Share of the transitions that are learned from.
            clip_grad_norm: Bound on the gradient's norm.
        """
        statistics, space = observation_scaling(observation_space, normalize_observation)
        options = FeatureOptions(feature_size, hidden_sizes, image)
        with seeded_init(seed_int(seed, Stream.REWARD)):
            dynamics = Dynamics.from_spaces(
                space, action_space, options, model_sizes, forward_weight
            )
        learning = LearnerOptions(
            learning_rate, batch_size, epochs, update_proportion, clip_grad_norm
        )
        return cls(
            observation_statistics=statistics,
            reward_scale=RewardScale(reward_norm),
            dynamics=dynamics,
            learner=RewardLearner(dynamics, options=learning, seed=seed),
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """½ ‖φ̂(s') - φ(s')‖², [T, B]."""

        def error(observation: Any, action: Tensor, next_observation: Any) -> Tensor:
            following = self.normalized(next_observation)
            return self.dynamics.error(self.normalized(observation), action, following)

        return in_chunks(error, samples.observation, samples.action, samples.next_observation)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Lower both losses on these transitions."""
        return self.learner.learn(samples, self.loss, self.world)

    def loss(self, batch: RewardSamples) -> DynamicsLoss:
        """L = (1 - β) L_I + β L_F of a minibatch [N, ...]."""
        return self.dynamics.loss(self.normalized_batch(batch))
