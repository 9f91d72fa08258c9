"""Episodic pseudo-counts: the episodic half of Never Give Up (Badia et al. 2020, arXiv:2002.06038).

A state unlike all that the episode has seen so far is new, in features of what actions change;
every episode starts with nothing seen.

Differs from the paper: an episode's first state is remembered too; the running mean distance is
over all environments.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self, final

from gymnasium import Space
from torch import Tensor

from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.checks import check_numbers
from rlpyt.rewards.episodic import KernelCounts, features_along, kernel_options, kernel_reward
from rlpyt.rewards.features import FeatureOptions
from rlpyt.rewards.inverse import InverseDynamics
from rlpyt.rewards.learner import LearnerOptions, RewardLearner
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
    observation_scaling,
)
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int, seeded_init

__all__ = ["InverseLoss", "PseudoCounts"]


class InverseLoss(NamedTuple):
    """The loss, of each transition [N] or a mean over them."""

    loss: Tensor


@final
class PseudoCounts(IntrinsicReward):
    """r = 1 / (√(Σ_i K(φ(s'), φ_i)) + c), over the k nearest states of the episode (eq. 2 and 3).

    Build it with :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        inverse: φ, and the inverse dynamics that teach it.
        counts: The kernel over the episode's states.
        pseudo_count: c.
        max_similarity: s_max.
        learner: Trains φ.
    """

    episodic: ClassVar[bool] = True

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        inverse: InverseDynamics,
        counts: KernelCounts,
        pseudo_count: float,
        max_similarity: float,
        learner: RewardLearner,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        check_numbers(0.0, pseudo_count=pseudo_count)
        if not max_similarity > pseudo_count:  # infinite: nothing is cut off
            what = f"max_similarity={max_similarity}, pseudo_count={pseudo_count}"
            hint = "similarity starts from pseudo_count: use more than that, or nothing is new"
            raise RlpytError("config", what, hint=hint)
        self.inverse = inverse
        self.counts = counts
        self.pseudo_count = pseudo_count
        self.max_similarity = max_similarity
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
        pseudo_count: float = 1e-3,
        max_similarity: float = 8.0,
        feature_size: int = 32,
        hidden_sizes: Sequence[int] = (256,),
        model_sizes: Sequence[int] = (128,),
        image: ImageTrunk = "auto",
        normalize_observation: bool = False,
        reward_norm: RewardNorm = "rms",
        learning_rate: float = 5e-4,
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
            pseudo_count: c.
            max_similarity: s_max, beyond which nothing is new; more than c.
            feature_size: d, length of φ.
            hidden_sizes: Hidden layers of φ.
            model_sizes: Hidden layers of the inverse model.
            image: How images are encoded.
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
            inverse = InverseDynamics.from_spaces(space, action_space, options, model_sizes)
        learning = LearnerOptions(
            learning_rate, batch_size, epochs, update_proportion, clip_grad_norm
        )
        return cls(
            observation_statistics=statistics,
            reward_scale=RewardScale(reward_norm),
            inverse=inverse,
            counts=KernelCounts(n_envs, feature_size, kernel_options(kernel_kwargs)),
            pseudo_count=pseudo_count,
            max_similarity=max_similarity,
            learner=RewardLearner(inverse, options=learning, seed=seed),
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """1 / (√(Σ K) + c), [T, B]; the episodes go on."""
        features, following = features_along(self._features, samples)
        similarity = self.counts.similarity(features, following, samples)
        return kernel_reward(similarity, self.pseudo_count, self.max_similarity)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Predict the actions of these transitions better."""
        return self.learner.learn(samples, self.loss, self.world)

    def loss(self, batch: RewardSamples) -> InverseLoss:
        """L_I of a minibatch [N, ...]."""
        features, following = map(self._features, (batch.observation, batch.next_observation))
        return InverseLoss(self.inverse.loss(features, following, batch.action))

    def _features(self, observation: Any) -> Tensor:
        features: Tensor = self.inverse.features(self.normalized(observation))
        return features
