"""Rényi State Entropy (Yuan et al. 2022, arXiv:2203.04297).

As RE3, for the Rényi entropy of order α, which generalises Shannon's: it values rare states more.

Differs from the paper: the encoder is a random network, not a variational autoencoder, k is an
option and not searched for, and the state after the action is rewarded.
"""

from collections.abc import Sequence
from typing import Any, Self, final

from gymnasium import Space
from torch import Tensor

from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.features import FeatureNetwork, FeatureOptions, frozen, in_chunks
from rlpyt.rewards.neighbors import (
    NeighborMemory,
    check_neighbors,
    kth_distance,
    random_features,
)
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
)
from rlpyt.rewards.samples import RewardSamples

__all__ = ["RISE"]


@final
class RISE(IntrinsicReward):
    """r = ‖y - y_k‖₂^(1 - α), y = f(s') of a random network f and y_k its k-th nearest neighbour
    among the states remembered and those of the same batch.

    Where there are fewer than k others, the farthest of them; where there is none, r = 0. Build it
    with :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        encoder: f, never trained.
        memory: The states remembered.
        n_neighbors: k, which neighbour.
        alpha: α, the order of the entropy, in [0, 1).
    """

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        encoder: FeatureNetwork,
        memory: NeighborMemory,
        n_neighbors: int,
        alpha: float,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        check_neighbors(n_neighbors, alpha)
        self.encoder = frozen(encoder)
        self.memory = memory
        self.n_neighbors = n_neighbors
        self.alpha = alpha

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
        capacity: int = 10_000,
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
            n_envs: Environments of a batch; used with a ``return_discount`` only.
            seed: Of the network.
            n_neighbors: k, which neighbour.
            alpha: α, the order of the entropy.
            capacity: States remembered, of all environments together. Use 0 for batches of a
                replay, in which a state would find itself again.
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
            memory=NeighborMemory(capacity, feature_size),
            n_neighbors=n_neighbors,
            alpha=alpha,
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """r, [T, B]; the states are remembered from then on."""
        features = in_chunks(self._features, samples.next_observation)
        distances = self.memory.distances(features, samples.valid, self.n_neighbors)
        self.memory.add(features, samples.valid)
        return kth_distance(distances) ** (1.0 - self.alpha)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Nothing is learned."""
        return {}

    def _features(self, observation: Any) -> Tensor:
        found: Tensor = self.encoder(self.normalized(observation))
        return found
