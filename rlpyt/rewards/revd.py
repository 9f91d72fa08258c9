"""Rewarding Episodic Visitation Discrepancy (Yuan et al. 2022, arXiv:2209.08842).

The Rényi divergence between what an environment shows now and what it showed before, estimated by
nearest neighbours in the space of a random network: states far from those of before, and close to
others of now, tell the two apart. Nothing is learned.

Differs from the paper: a batch of consecutive steps of an environment takes the place of an
episode, so that rewards are known when the batch is; the state after the action is rewarded.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self, final

import torch
from gymnasium import Space
from torch import Tensor

from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.checks import check_numbers
from rlpyt.rewards.features import FeatureNetwork, FeatureOptions, frozen, in_chunks
from rlpyt.rewards.memory import EpisodicMemory
from rlpyt.rewards.neighbors import (
    check_neighbors,
    kth_distance,
    nearest_distances,
    random_features,
)
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
)
from rlpyt.rewards.samples import RewardSamples

__all__ = ["REVD"]


@final
class REVD(IntrinsicReward):
    """r = L (D_before / (D_now + ε))^(1 - α), in the space of y = f(s') of a random network f.

    D_now is the distance of y to its k-th nearest neighbour among the others of the same
    environment in this batch, D_before to that in the batch before, and L the mean over this batch
    of the distance to the nearest other. Where there are fewer than k, the farthest of them counts;
    in the first batch r = 0. Batches of one step, which has no others, are refused. Build it with
    :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        encoder: f, never trained.
        before: The states of the batch before.
        n_neighbors: k, which neighbour.
        alpha: α, the order of the divergence, in [0, 1).
        epsilon: ε, for states that are often in this batch.
    """

    episodic: ClassVar[bool] = True
    min_batch_T: ClassVar[int] = 2  # D_now is among the others of the batch

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        encoder: FeatureNetwork,
        before: EpisodicMemory,
        n_neighbors: int,
        alpha: float,
        epsilon: float,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        check_neighbors(n_neighbors, alpha)
        check_numbers(0.0, epsilon=epsilon)
        self.encoder = frozen(encoder)
        self.before = before
        self.n_neighbors = n_neighbors
        self.alpha = alpha
        self.epsilon = epsilon

    @classmethod
    @for_spaces
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_envs: int,
        seed: int,
        n_neighbors: int = 5,
        alpha: float = 0.5,
        epsilon: float = 1e-3,
        capacity: int = 512,
        feature_size: int = 64,
        hidden_sizes: Sequence[int] = (256,),
        image: ImageTrunk = "auto",
        normalize_observation: bool = False,
        reward_norm: RewardNorm = "rms",
        return_discount: float | None = None,
    ) -> Self:
        """Build for these spaces.

        Args:
            observation_space: What is observed.
            action_space: Unused.
            n_envs: Environments of a batch.
            seed: Of the network.
            n_neighbors: k, which neighbour.
            alpha: α, the order of the divergence.
            epsilon: ε. The paper has none: where an environment shows equal states k times in a
                batch, rewards without one are infinite.
            capacity: Steps of the batch before that are remembered of each environment, the last.
            feature_size: d, length of f's output.
            hidden_sizes: Hidden layers of f.
            image: How images are encoded.
            normalize_observation: By running statistics, clipped to ±5. What is remembered stays
                as it was normalised then.
            reward_norm: How rewards are scaled.
            return_discount: γ of the return whose deviation scales them; ``None``: their own.

        Raises:
            RlpytError: for a space that cannot be encoded, or an option out of range.
        """
        options = FeatureOptions(feature_size, hidden_sizes, image)
        statistics, encoder = random_features(
            observation_space, options, seed=seed, normalize_observation=normalize_observation
        )
        return cls(
            observation_statistics=statistics,
            reward_scale=RewardScale(reward_norm, discount=return_discount, n_envs=n_envs),
            encoder=encoder,
            before=EpisodicMemory(n_envs, capacity, feature_size),
            n_neighbors=n_neighbors,
            alpha=alpha,
            epsilon=epsilon,
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """r, [T, B]; this batch is the one before from then on."""
        T, B = samples.terminated.shape
        self.before.check(B)
        features = in_chunks(self._features, samples.next_observation).transpose(0, 1)  # [B, T, d]
        valid = torch.ones(T, B, dtype=torch.bool, device=features.device)
        valid = (valid if samples.valid is None else samples.valid).transpose(0, 1)
        places = torch.arange(T, device=features.device).expand(B, T)
        now = nearest_distances(features, features, self.n_neighbors, known=valid, own=places)
        held = torch.arange(self.before.capacity, device=features.device)
        known = held < self.before.count.unsqueeze(1)
        before = nearest_distances(features, self.before.entries, self.n_neighbors, known=known)
        nearest = kth_distance(now[..., :1]).masked_fill(~valid, 0.0)
        scale = nearest.sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp(min=1)
        ratio = kth_distance(before) / (kth_distance(now) + self.epsilon)
        self._remember(features, valid)
        reward: Tensor = scale * ratio ** (1.0 - self.alpha)
        return reward.transpose(0, 1)

    def _remember(self, features: Tensor, valid: Tensor) -> None:
        """Keep ``features`` [B, T, d] where ``valid`` [B, T], and nothing else."""
        self.before.forget(torch.ones_like(self.before.count, dtype=torch.bool))
        for vector, is_valid in zip(features.unbind(1), valid.unbind(1), strict=True):
            self.before.add(vector, is_valid)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Nothing is learned."""
        return {}

    def _features(self, observation: Any) -> Tensor:
        found: Tensor = self.encoder(self.normalized(observation))
        return found
