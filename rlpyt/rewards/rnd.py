"""Random Network Distillation (Burda et al. 2019, arXiv:1810.12894).

A random network f says what an observation is, another learns to say the same: where it cannot, the
observation is new. No dynamics, so that what is random about them does not attract.

Differs from the paper: networks and their sizes are options; of images all channels are used
unless ``last_channels`` says otherwise; statistics start with the first batch instead of random
steps.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, final

from gymnasium import Space
from torch import Tensor

from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.features import FeatureNetwork, FeatureOptions, frozen, in_chunks
from rlpyt.rewards.learner import LearnerOptions, RewardLearner
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
    observation_scaling,
)
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.seed import Stream, seed_int, seeded_init

__all__ = ["RND", "RndLoss", "distillation_error"]


class RndLoss(NamedTuple):
    """The loss, of each transition [N] or a mean over them."""

    loss: Tensor


def distillation_error(prediction: Tensor, target: Tensor) -> Tensor:
    """e(s') = mean_d (f̂(s') - f(s'))², of features [..., d] each: [...]."""
    return (prediction - target).square().mean(-1)


@final
class RND(IntrinsicReward):
    """r = e(s'), the error of the predictor f̂ at the next observation; f̂ learns to lower it.

    The predictor has two hidden layers more than the target, as in the paper. Build it with
    :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations; without, a random network tells little.
        reward_scale: Scales rewards.
        target: f, never trained.
        predictor: f̂.
        learner: Trains f̂.
    """

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        target: FeatureNetwork,
        predictor: FeatureNetwork,
        learner: RewardLearner,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        self.target = frozen(target)
        self.predictor = predictor
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
        image: ImageTrunk = "auto",
        normalize_observation: bool = True,
        last_channels: int | None = None,
        reward_norm: RewardNorm = "rms",
        return_discount: float | None = 0.99,
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
            feature_size: d, length of f's output.
            hidden_sizes: Hidden layers of both networks.
            image: How images are encoded.
            normalize_observation: By running statistics, clipped to ±5.
            last_channels: How many channels of an image are used, with
                ``normalize_observation``: 1 is the newest of several grey frames, as in the paper.
            reward_norm: How rewards are scaled.
            return_discount: γ of the return whose deviation scales them; ``None``, as batches of a
                replay need it: the rewards' own.
            learning_rate: Of Adam.
            batch_size: Transitions of one gradient step.
            epochs: Passes over each batch.
            update_proportion: Share of the transitions that are learned from.
            clip_grad_norm: Bound on the gradient's norm.
        """
        statistics, space = observation_scaling(
            observation_space, normalize_observation, last_channels
        )
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
            learner=RewardLearner(predictor, options=learning, seed=seed),
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """e(s'), [T, B]."""
        return in_chunks(self._error, samples.next_observation)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Lower e on these next observations."""
        return self.learner.learn(samples, self.loss, self.world)

    def loss(self, batch: RewardSamples) -> RndLoss:
        """e(s') of a minibatch [N, ...]."""
        return RndLoss(self._error(batch.next_observation))

    def _error(self, observation: Any) -> Tensor:
        observation = self.normalized(observation)
        return distillation_error(self.predictor(observation), self.target(observation))
