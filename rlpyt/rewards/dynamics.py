"""Inverse and forward dynamics in one space of features: the model of ICM, which RIDE shares."""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt.models.mlp import Mlp
from rlpyt.rewards.checks import check_numbers
from rlpyt.rewards.features import FeatureOptions
from rlpyt.rewards.inverse import InverseDynamics
from rlpyt.rewards.samples import RewardSamples

__all__ = ["Dynamics", "DynamicsLoss", "dynamics_loss", "forward_error"]


class DynamicsLoss(NamedTuple):
    """The loss and its parts, of each transition [N] or means over them."""

    loss: Tensor
    inverseLoss: Tensor
    forwardLoss: Tensor


def forward_error(prediction: Tensor, next_features: Tensor) -> Tensor:
    """½ ‖φ̂(s') - φ(s')‖², of features [..., d] each: [...] (eq. 6)."""
    return 0.5 * (prediction - next_features).square().sum(-1)


def dynamics_loss(inverse: Tensor, forward: Tensor, forward_weight: float) -> DynamicsLoss:
    """L = (1 - β) L_I + β L_F (eq. 7 of Pathak et al. 2017), of each transition [N]."""
    loss = (1.0 - forward_weight) * inverse + forward_weight * forward
    return DynamicsLoss(loss, inverse, forward)


@final
class Dynamics(nn.Module):
    """φ(s) by inverse dynamics, and φ̂(s') = f(φ(s), a).

    φ learns from the inverse loss alone: following the forward loss, it would make itself easy to
    predict.

    Args:
        inverse: φ, and the action from it.
        forward_model: f.
        forward_weight: β, 0 to 1.

    Raises:
        RlpytError: for another one.
    """

    def __init__(
        self, *, inverse: InverseDynamics, forward_model: Mlp, forward_weight: float
    ) -> None:
        super().__init__()
        check_numbers(0.0, 1.0, forward_weight=forward_weight)
        self.inverse = inverse
        self.forward_model = forward_model
        self.forward_weight = forward_weight

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        options: FeatureOptions,
        model_sizes: Sequence[int],
        forward_weight: float,
    ) -> "Dynamics":
        """Build for these spaces; ``model_sizes`` are the hidden layers of either model."""
        inverse = InverseDynamics.from_spaces(observation_space, action_space, options, model_sizes)
        size = inverse.features.feature_size
        model = Mlp(size + inverse.action_code.size, model_sizes, size, "relu")
        return cls(inverse=inverse, forward_model=model, forward_weight=forward_weight)

    def features(self, observation: Any) -> Tensor:
        """φ [..., d] of an observation tree [..., *shape]."""
        found: Tensor = self.inverse.features(observation)
        return found

    def predicted(self, features: Tensor, action: Tensor) -> Tensor:
        """φ̂(s') [..., d], from φ(s) and the action [..., *shape]."""
        code = self.inverse.action_code(action)
        prediction: Tensor = self.forward_model(torch.cat([features, code], dim=-1))
        return prediction

    def error(self, observation: Any, action: Tensor, next_observation: Any) -> Tensor:
        """½ ‖φ̂(s') - φ(s')‖² of transitions [N, ...], [N]."""
        prediction = self.predicted(self.features(observation), action)
        return forward_error(prediction, self.features(next_observation))

    def loss(self, batch: RewardSamples) -> DynamicsLoss:
        """L of a minibatch [N, ...], its observations normalised where they are to be."""
        features, following = (
            self.features(batch.observation),
            self.features(batch.next_observation),
        )
        inverse = self.inverse.loss(features, following, batch.action)
        prediction = self.predicted(features.detach(), batch.action)
        forward = forward_error(prediction, following.detach())
        return dynamics_loss(inverse, forward, self.forward_weight)
