"""Self-supervised exploration via disagreement (Pathak, Gandhi & Gupta 2019, arXiv:1906.04161).

K models predict the next features; where they differ, there is something to learn. On what is
random they come to agree, on the mean: noise does not attract for long.

Differs from the paper: the reward is a plain number to a policy gradient or a critic; it is not
differentiated through the models. Each model leaves out every K-th of the shuffled transitions.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, final

import torch
from gymnasium import Space
from torch import Tensor

from rlpyt.models.batched import BatchedMlp
from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.actions import ActionCode
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
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int, seeded_init

__all__ = ["Disagreement", "DisagreementLoss", "disagreement"]


class DisagreementLoss(NamedTuple):
    """The loss, of each transition [N] or a mean over them."""

    loss: Tensor


def disagreement(predictions: Tensor) -> Tensor:
    """mean_d Var_k f_k (eq. 1), of predictions [K, ..., d]: [...]; the variance divides by K."""
    return predictions.var(0, correction=0).mean(-1)


@final
class Disagreement(IntrinsicReward):
    """r = mean_d Var_k f_k(φ(s), a), φ a random network.

    Build it with :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        features: φ, never trained.
        action_code: Actions as the models take them.
        models: f_1 ... f_K.
        learner: Trains them.
    """

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        features: FeatureNetwork,
        action_code: ActionCode,
        models: BatchedMlp,
        learner: RewardLearner,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        self.features = frozen(features)
        self.action_code = action_code
        self.models = models
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
        n_models: int = 4,
        feature_size: int = 128,
        hidden_sizes: Sequence[int] = (256,),
        model_sizes: Sequence[int] = (256,),
        image: ImageTrunk = "auto",
        normalize_observation: bool = True,
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
            n_models: K, 2 or more.
            feature_size: d, length of φ.
            hidden_sizes: Hidden layers of φ.
            model_sizes: Hidden layers of each model.
            image: How images are encoded.
            normalize_observation: By running statistics, clipped to ±5.
            reward_norm: How rewards are scaled.
            learning_rate: Of Adam.
            batch_size: Transitions of one gradient step.
            epochs: Passes over each batch.
            update_proportion: Share of the transitions that are learned from.
            clip_grad_norm: Bound on the gradient's norm.
        """
        if n_models < 2:
            raise RlpytError("config", f"n_models={n_models}", hint="one has none to differ from")
        statistics, space = observation_scaling(observation_space, normalize_observation)
        options = FeatureOptions(feature_size, hidden_sizes, image)
        with seeded_init(seed_int(seed, Stream.REWARD)):
            features, code = FeatureNetwork.from_space(space, options), ActionCode(action_space)
            size = feature_size + code.size
            models = BatchedMlp(n_models, size, model_sizes, feature_size)
        learning = LearnerOptions(
            learning_rate, batch_size, epochs, update_proportion, clip_grad_norm
        )
        return cls(
            observation_statistics=statistics,
            reward_scale=RewardScale(reward_norm),
            features=features,
            action_code=code,
            models=models,
            learner=RewardLearner(models, options=learning, seed=seed),
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """mean_d Var_k f_k(φ(s), a), [T, B]."""

        def variance(observation: Any, action: Tensor) -> Tensor:
            return disagreement(self.predictions(observation, action))

        return in_chunks(variance, samples.observation, samples.action)

    def predictions(self, observation: Any, action: Tensor) -> Tensor:
        """f_k(φ(s), a) of transitions [N, ...], [K, N, d]."""
        features = self.features(self.normalized(observation))
        found: Tensor = self.models(torch.cat([features, self.action_code(action)], dim=-1))
        return found

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Make every model foresee these transitions better."""
        return self.learner.learn(samples, self.loss, self.world)

    def loss(self, batch: RewardSamples) -> DisagreementLoss:
        """Σ_k w_k mean_d (f_k - φ(s'))² of a minibatch [N, ...]: transition n is left out, w_k = 0,
        by the model k = n mod K, where there are K or more.
        """
        target = self.features(self.normalized(batch.next_observation))
        predictions = self.predictions(batch.observation, batch.action)
        errors = (predictions - target).square().mean(-1)
        K, N = errors.shape
        if N >= K:
            model = torch.arange(N, device=errors.device) % K
            errors = errors.scatter(0, model.unsqueeze(0), 0.0)
        return DisagreementLoss(errors.sum(0))
