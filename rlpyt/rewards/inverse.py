"""Features of what the agent can control, by predicting its actions: inverse dynamics (Pathak et
al. 2017, arXiv:1705.05363, section 2.2).
"""

from collections.abc import Sequence
from typing import Any, final

import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt.models.mlp import Mlp
from rlpyt.rewards.actions import ActionCode
from rlpyt.rewards.checks import check_sizes
from rlpyt.rewards.features import FeatureNetwork, FeatureOptions

__all__ = ["InverseDynamics"]


@final
class InverseDynamics(nn.Module):
    """φ, and â = g(φ(s), φ(s')): what predicts the action keeps what actions change.

    Args:
        features: φ.
        action_code: Actions as they are predicted.
        head: g.
    """

    def __init__(self, *, features: FeatureNetwork, action_code: ActionCode, head: Mlp) -> None:
        super().__init__()
        self.features = features
        self.action_code = action_code
        self.head = head

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        options: FeatureOptions,
        head_sizes: Sequence[int] = (256,),
    ) -> "InverseDynamics":
        """Build for these spaces; ``head_sizes`` are the hidden layers of g."""
        features = FeatureNetwork.from_space(observation_space, options)
        check_sizes(model_sizes=head_sizes)
        code = ActionCode(action_space)
        head = Mlp(2 * features.feature_size, head_sizes, code.size, "relu")
        return cls(features=features, action_code=code, head=head)

    def forward(self, features: Tensor, next_features: Tensor) -> Tensor:
        """â [..., size of the action's code], from φ(s) and φ(s') [..., feature_size]."""
        predicted: Tensor = self.head(torch.cat([features, next_features], dim=-1))
        return predicted

    def loss(self, features: Tensor, next_features: Tensor, action: Tensor) -> Tensor:
        """L_I of each transition [N]: how far â is from ``action`` [N, *shape], from features
        [N, feature_size].
        """
        return self.action_code.loss(self(features, next_features), action)
