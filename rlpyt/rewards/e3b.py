"""Exploration via Elliptical Episodic Bonuses (Henaff et al. 2022, arXiv:2210.05805).

A count of visits for states that never come twice: how far a state's features lie outside the
ellipsoid of those that this episode has seen. The features know what actions change, and leave out
the rest.

Differs from the paper: the state after the action is rewarded, the first state of an episode counts
as seen. Features change with learning while an episode goes on; what was seen of it before stays as
it was.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self, final

import torch
from gymnasium import Space
from torch import Tensor

from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.episodic import features_along
from rlpyt.rewards.features import FeatureOptions
from rlpyt.rewards.inverse import InverseDynamics
from rlpyt.rewards.learner import LearnerOptions, RewardLearner
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
    observation_scaling,
)
from rlpyt.rewards.samples import RewardSamples, check_columns
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.ranges import check_number
from rlpyt.utils.seed import Stream, seed_int, seeded_init

__all__ = ["E3B", "E3bLoss", "elliptical_bonus"]


class E3bLoss(NamedTuple):
    """The loss, of each transition [N] or a mean over them."""

    loss: Tensor


def elliptical_bonus(inverse: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """The bonus b = φᵀ C⁻¹ φ [B], and the inverse of C + φφᵀ [B, d, d] (Sherman and Morrison):

        (C + φφᵀ)⁻¹ = C⁻¹ - u uᵀ / (1 + b),   u = C⁻¹ φ

    ``inverse``: C⁻¹ [B, d, d], symmetric; ``vector``: φ [B, d].
    """
    u = torch.bmm(inverse, vector.unsqueeze(-1)).squeeze(-1)
    bonus = (vector * u).sum(-1).clamp(min=0)
    u = u / (1 + bonus).sqrt().unsqueeze(-1)  # both factors alike: symmetric to the last bit
    return bonus, inverse - u.unsqueeze(-1) * u.unsqueeze(-2)


@final
class E3B(IntrinsicReward):
    """r = φ(s')ᵀ C⁻¹ φ(s'), C = λI + Σ φ(s_i) φ(s_i)ᵀ over the states seen in this episode before,
    separately for each environment; φ learns to tell actions (inverse dynamics).

    Build it with :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        dynamics: φ, and the prediction of actions from it.
        learner: Trains both.
        n_envs: Environments of a batch.
        ridge: λ.
    """

    episodic: ClassVar[bool] = True
    inverse: Tensor
    is_new: Tensor

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        dynamics: InverseDynamics,
        learner: RewardLearner,
        n_envs: int,
        ridge: float,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        check_number("ridge", ridge, low=0.0, is_low_allowed=False)
        if n_envs < 1:
            raise RlpytError("config", f"n_envs={n_envs}", hint="use 1 or more")
        self.dynamics = dynamics
        self.learner = learner
        self.ridge = ridge
        size = dynamics.features.feature_size
        self.register_buffer("inverse", torch.eye(size).repeat(n_envs, 1, 1) / ridge)
        self.register_buffer("is_new", torch.ones(n_envs, dtype=torch.bool))

    @classmethod
    @for_spaces
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_envs: int,
        seed: int,
        ridge: float = 0.1,
        feature_size: int = 128,
        hidden_sizes: Sequence[int] = (256,),
        model_sizes: Sequence[int] = (256,),
        image: ImageTrunk = "auto",
        normalize_observation: bool = False,
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
            action_space: Box, Discrete, MultiDiscrete or MultiBinary.
            n_envs: Environments of a batch.
            seed: Of the networks and of the order of minibatches.
            ridge: λ: the bonus of a first state is ‖φ‖² / λ.
            feature_size: d, length of φ.
            hidden_sizes: Hidden layers of φ.
            model_sizes: Hidden layers of the inverse model.
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
            dynamics = InverseDynamics.from_spaces(space, action_space, options, model_sizes)
        learning = LearnerOptions(
            learning_rate, batch_size, epochs, update_proportion, clip_grad_norm
        )
        return cls(
            observation_statistics=statistics,
            reward_scale=RewardScale(reward_norm, discount=return_discount, n_envs=n_envs),
            dynamics=dynamics,
            learner=RewardLearner(dynamics, options=learning, seed=seed),
            n_envs=n_envs,
            ridge=ridge,
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """r, [T, B]; C goes on from batch to batch, and starts anew with each episode."""
        B = samples.terminated.shape[1]
        check_columns("E3B", len(self.is_new), B)
        starts = torch.cat([self.is_new.unsqueeze(0), samples.is_last[:-1]])
        if samples.reset is not None:
            starts = starts | samples.reset
        first, seen = features_along(self._features, samples)
        if samples.valid is not None:  # 0 adds nothing to C
            invalid = ~samples.valid.unsqueeze(-1)
            first, seen = first.masked_fill(invalid, 0.0), seen.masked_fill(invalid, 0.0)
        first = first.masked_fill(~starts.unsqueeze(-1), 0.0)
        prior = torch.eye(seen.shape[-1], device=seen.device) / self.ridge
        inverse, bonuses = self.inverse, []
        for t, any_starts in enumerate(starts.any(1).tolist()):
            if any_starts:
                inverse = torch.where(starts[t].view(B, 1, 1), prior, inverse)
                _, inverse = elliptical_bonus(inverse, first[t])
            bonus, inverse = elliptical_bonus(inverse, seen[t])
            bonuses.append(bonus)
        self.inverse.copy_(inverse)
        self.is_new.copy_(samples.is_last[-1])
        return torch.stack(bonuses)

    def _features(self, observation: Any) -> Tensor:
        found: Tensor = self.dynamics.features(self.normalized(observation))
        return found

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Learn to tell the actions from φ."""
        return self.learner.learn(samples, self.loss, self.world)

    def loss(self, batch: RewardSamples) -> E3bLoss:
        """How far the action of each transition [N] is from what φ tells of it."""
        features, following = map(self._features, (batch.observation, batch.next_observation))
        return E3bLoss(self.dynamics.loss(features, following, batch.action))
