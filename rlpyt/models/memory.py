"""The recurrent part of a model: features, previous action and previous reward go in."""

from typing import Any, final

import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt.data import RnnState
from rlpyt.models.encoder import encoder_for
from rlpyt.models.rnn import Recurrent, RnnKind

__all__ = ["Memory"]


@final
class Memory(nn.Module):
    """A recurrent network over features, previous action (one-hot where discrete) and previous
    reward.

    Args:
        feature_size: F, the length of the features.
        action_space: The space of the previous action.
        kind: Which recurrent cell.
        hidden_size: H, the length of the output.
    """

    def __init__(
        self, feature_size: int, action_space: Space[Any], kind: RnnKind, hidden_size: int
    ) -> None:
        super().__init__()
        self.action_encoder = encoder_for(action_space, image="flatten")
        input_size = feature_size + self.action_encoder.feature_size + 1
        self.rnn = Recurrent(kind, input_size, hidden_size)

    def forward(
        self,
        features: Tensor,
        prev_action: Any,
        prev_reward: Tensor,
        reset: Tensor,
        state: RnnState,
    ) -> tuple[Tensor, RnnState]:
        """Output [..., H] and next state; the past counts as zero where ``reset``.

        Args:
            features: [B, F] or [T, B, F].
            prev_action: Action tree [B, ...] or [T, B, ...].
            prev_reward: [B] or [T, B].
            reset: [B] or [T, B] bool.
            state: Before the first step, [B, ...].
        """
        action = self.action_encoder(prev_action)
        previous = torch.cat([action, prev_reward.unsqueeze(-1)], dim=-1)
        previous = previous.masked_fill(reset.unsqueeze(-1), 0.0)
        output: tuple[Tensor, RnnState] = self.rnn(
            torch.cat([features, previous], dim=-1), reset, state
        )
        return output
