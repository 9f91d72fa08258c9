"""Rewarding Impact-Driven Exploration (Raileanu & Rocktäschel 2020, arXiv:2002.12292).

What an action changes is interesting, the less often the episode has been there: going to and fro
does not pay.

Differs from the paper: episodes count states by the kernel of Never Give Up, so that any
observations can be counted, not those of a few cells alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, final

import torch
from gymnasium import Space
from torch import Tensor

from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.dynamics import Dynamics, DynamicsLoss
from rlpyt.rewards.episodic import KernelCounts, features_along, kernel_options
from rlpyt.rewards.features import FeatureOptions
from rlpyt.rewards.learner import LearnerOptions, RewardLearner
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
    observation_scaling,
)
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.seed import Stream, seed_int, seeded_init

__all__ = ["RIDE", "impact_reward"]


def impact_reward(features: Tensor, next_features: Tensor, count: Tensor) -> Tensor:
    """Impact r = ‖φ(s') - φ(s)‖₂ / √N_ep(s') (eq. 1) of features [..., d], counts [...]: [...]."""
    change: Tensor = torch.linalg.vector_norm(next_features - features, dim=-1)
    return change / count.sqrt()


@final
class RIDE(IntrinsicReward):
    """r = ‖φ(s') - φ(s)‖₂ / √N_ep(s'), N_ep(s') = 1 + Σ_i K(φ(s'), φ_i) over all states that the
    episode has seen.

    Where states are equal or far apart, N_ep is the number of visits. Build it with
    :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        dynamics: φ, the inverse and the forward model, as in ICM.
        counts: The kernel over the episode's states.
        learner: Trains φ.
    """

    episodic: ClassVar[bool] = True

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        dynamics: Dynamics,
        counts: KernelCounts,
        learner: RewardLearner,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        self.dynamics = dynamics
        self.counts = counts
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
        kernel_kwargs: Mapping[str, Any] | None = None,
        feature_size: int = 128,
        hidden_sizes: Sequence[int] = (256,),
        model_sizes: Sequence[int] = (256,),
        image: ImageTrunk = "auto",
        forward_weight: float = 0.2,
        normalize_observation: bool = False,
        reward_norm: RewardNorm = "rms",
        learning_rate: float = 1e-4,
        batch_size: int = 256,
        epochs: int = 1,
        update_proportion: float = 1.0,
        clip_grad_norm: float | None = None,
    ) -> Self:
        """Build for these spaces.

        Args:
            observation_space: What is observed.
            action_space: Box, Discrete, MultiDiscrete or MultiBinary.
            n_envs: Environments of a batch.
            seed: Of the networks and of the order of minibatches.
            kernel_kwargs: Of :class:`KernelOptions`: what counts as near, what is remembered.
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
            counts=KernelCounts(
                n_envs, feature_size, kernel_options(kernel_kwargs), all_states=True
            ),
            learner=RewardLearner(dynamics, options=learning, seed=seed),
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """‖φ(s') - φ(s)‖₂ / √N_ep(s'), [T, B]; the episodes go on."""
        features, following = features_along(self._features, samples)
        count = 1.0 + self.counts.similarity(features, following, samples)
        return impact_reward(features, following, count)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Lower both losses on these transitions."""
        return self.learner.learn(samples, self.loss, self.world)

    def loss(self, batch: RewardSamples) -> DynamicsLoss:
        """L = (1 - β) L_I + β L_F of a minibatch [N, ...]."""
        return self.dynamics.loss(self.normalized_batch(batch))

    def _features(self, observation: Any) -> Tensor:
        return self.dynamics.features(self.normalized(observation))
