"""Generative Intrinsic Reward Module (Yu, Lyu & Tsang 2020, arXiv:2006.15061).

A conditional variational autoencoder reads from two observations what was done between them, and
generates the second one from the first and that: what it cannot generate is new.

Differs from the paper: it learns from the agent's own transitions, not from demonstrations, and
generates features of a random network instead of observations, so that images and numbers are
alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self, final

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt.models.encoder import ImageTrunk
from rlpyt.models.mlp import Mlp
from rlpyt.rewards.actions import ActionCode
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.checks import check_numbers, check_sizes
from rlpyt.rewards.features import FeatureNetwork, FeatureOptions, frozen, in_chunks
from rlpyt.rewards.learner import LearnerOptions, RewardLearner
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
    observation_scaling,
)
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.seed import (
    Stream,
    generator,
    generator_state,
    load_generator_state,
    seed_int,
    seeded_init,
)

__all__ = ["GIRM", "GirmLoss", "TransitionVae", "VaeOptions", "likely_code"]


class VaeOptions(NamedTuple):
    """What the autoencoder generates from, and how it learns."""

    action_share: float = 0.5  # λ, of the true action in what generates
    action_weight: float = 1.0  # w_a
    latent_weight: float = 1.0  # w_z


class GirmLoss(NamedTuple):
    """The loss and its parts, of each transition [N] or means over them."""

    loss: Tensor
    generationLoss: Tensor  # a column's name
    actionLoss: Tensor  # a column's name
    klLoss: Tensor  # a column's name


def likely_code(action_code: ActionCode, prediction: Tensor) -> Tensor:
    """The code of the action that ``prediction`` [..., size] speaks of: probabilities of what is
    discrete, tanh of what is continuous.
    """
    if action_code.scale is not None:
        return prediction.tanh()
    if action_code.is_binary:
        return prediction.sigmoid()
    parts = torch.split(prediction, action_code.sizes, dim=-1)
    return torch.cat([part.softmax(-1) for part in parts], dim=-1)


@final
class TransitionVae(nn.Module):
    """z ~ N(m(φ, φ'), σ²(φ, φ')) of the length of an action, and φ̂' = g(φ, action).

    Args:
        feature_size: Length of φ.
        action_code: Actions as numbers.
        hidden_sizes: Hidden layers of m and σ², which are one network, and of g.
    """

    def __init__(
        self, feature_size: int, action_code: ActionCode, hidden_sizes: Sequence[int]
    ) -> None:
        super().__init__()
        check_sizes(model_sizes=hidden_sizes)
        self.action_code = action_code
        self.encoder = Mlp(2 * feature_size, hidden_sizes, 2 * action_code.size, "relu")
        self.decoder = Mlp(feature_size + action_code.size, hidden_sizes, feature_size, "relu")

    def encode(self, features: Tensor, following: Tensor) -> tuple[Tensor, Tensor]:
        """The mean m and log σ² [..., size] of z, from φ and φ' [..., d]."""
        mean, log_var = self.encoder(torch.cat([features, following], dim=-1)).chunk(2, dim=-1)
        return mean, log_var

    def generate(self, features: Tensor, latent: Tensor, action: Tensor, share: float) -> Tensor:
        """φ̂' [..., d] = g(φ, λ a + (1 - λ) â).

        Args:
            features: φ, [..., d].
            latent: What â is told by, [..., size].
            action: a, [..., *shape].
            share: λ.
        """
        likely = likely_code(self.action_code, latent)
        code = likely.lerp(self.action_code(action), share)
        generated: Tensor = self.decoder(torch.cat([features, code], dim=-1))
        return generated


@final
class GIRM(IntrinsicReward):
    """r = mean_d (φ̂' - φ(s'))², φ̂' = g(φ(s), λ a + (1 - λ) â) and â what m(φ(s), φ(s')) says was
    done; learns to generate, and to tell actions:

        L = (φ̂' - φ')² + w_a L(â, a) + w_z KL(N(m, σ²) ‖ N(0, 1))

    φ is a random network. Build it with :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        features: φ, never trained.
        vae: m, σ² and g.
        learner: Trains it.
        options: λ, w_a and w_z.
        seed: Of what z is drawn by while learning.
    """

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        features: FeatureNetwork,
        vae: TransitionVae,
        learner: RewardLearner,
        options: VaeOptions,
        seed: int,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        check_numbers(0.0, 1.0, action_share=options.action_share)
        check_numbers(0.0, action_weight=options.action_weight, latent_weight=options.latent_weight)
        self.features = frozen(features)
        self.vae = vae
        self.learner = learner
        self.options = options
        self._rng = generator(seed, Stream.REWARD, 2)

    @classmethod
    @for_spaces
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_envs: int,
        seed: int,
        vae_kwargs: Mapping[str, Any] | None = None,
        feature_size: int = 128,
        hidden_sizes: Sequence[int] = (256,),
        model_sizes: Sequence[int] = (256,),
        image: ImageTrunk = "auto",
        normalize_observation: bool = True,
        reward_norm: RewardNorm = "rms",
        return_discount: float | None = None,
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
            n_envs: Environments of a batch; used with a ``return_discount`` only.
            seed: Of the networks, the order of minibatches and z.
            vae_kwargs: Of :class:`VaeOptions`: λ, w_a and w_z.
            feature_size: d, length of φ.
            hidden_sizes: Hidden layers of φ.
            model_sizes: Hidden layers of m, σ² and g.
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
        with seeded_init(seed_int(seed, Stream.REWARD)):
            options = FeatureOptions(feature_size, hidden_sizes, image)
            features = FeatureNetwork.from_space(space, options)
            vae = TransitionVae(feature_size, ActionCode(action_space), model_sizes)
        learning = LearnerOptions(
            learning_rate, batch_size, epochs, update_proportion, clip_grad_norm
        )
        return cls(
            observation_statistics=statistics,
            reward_scale=RewardScale(reward_norm, discount=return_discount, n_envs=n_envs),
            features=features,
            vae=vae,
            learner=RewardLearner(vae, options=learning, seed=seed),
            options=VaeOptions(**checked_arguments(VaeOptions, vae_kwargs or {}, "vae_kwargs")),
            seed=seed,
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """r, [T, B]."""
        return in_chunks(self._error, samples.observation, samples.action, samples.next_observation)

    def _error(self, observation: Any, action: Tensor, next_observation: Any) -> Tensor:
        features, following = self._features(observation), self._features(next_observation)
        mean, _log_var = self.vae.encode(features, following)
        return self._generation_error(features, following, mean, action)

    def _generation_error(
        self, features: Tensor, following: Tensor, latent: Tensor, action: Tensor
    ) -> Tensor:
        generated = self.vae.generate(features, latent, action, self.options.action_share)
        return (generated - following).square().mean(-1)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Generate these transitions better."""
        return self.learner.learn(samples, self.loss, self.world)

    def loss(self, batch: RewardSamples) -> GirmLoss:
        """L of a minibatch [N, ...]."""
        features = self._features(batch.observation)
        following = self._features(batch.next_observation)
        mean, log_var = self.vae.encode(features, following)
        noise = torch.from_numpy(self._rng.standard_normal(mean.shape, dtype=np.float32))
        latent = mean + (0.5 * log_var).exp() * noise.to(mean.device)
        generation = self._generation_error(features, following, latent, batch.action)
        action = self.vae.action_code.loss(latent, batch.action)
        kl = 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(-1)
        _share, action_weight, latent_weight = self.options
        total = generation + action_weight * action + latent_weight * kl
        return GirmLoss(total, generation, action, kl)

    def _features(self, observation: Any) -> Tensor:
        found: Tensor = self.features(self.normalized(observation))
        return found

    def get_extra_state(self) -> dict[str, Any]:
        """The generator's state."""
        return generator_state(self._rng)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        load_generator_state(self._rng, state)
