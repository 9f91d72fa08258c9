"""Actions as networks take them in, and as they predict them."""

from typing import Any, final

import torch
from gymnasium import Space, spaces
from torch import Tensor, nn
from torch.nn import functional

from rlpyt.distributions.tensors import flatten_action
from rlpyt.models.action_scale import ActionScale
from rlpyt.models.encoder import encoder_for
from rlpyt.utils.errors import RlpytError

__all__ = ["ActionCode"]


@final
class ActionCode(nn.Module):
    """Actions as numbers, and the loss of predicting them.

    =============  =========================  ==================================  ================
    space          code, [..., size]          prediction, [..., size]             loss
    =============  =========================  ==================================  ================
    Box            in units of its bounds,    the same numbers                    mean square
                   clipped to them
    Discrete       one-hot                    logits                              cross-entropy
    MultiDiscrete  one-hots, side by side     logits of each entry, side by side  their sum
    MultiBinary    0.0 and 1.0                logits of 1                         their sum
    =============  =========================  ==================================  ================

    Args:
        action_space: One of these.

    Raises:
        RlpytError: for another space, or a Box without a scale.
    """

    def __init__(self, action_space: Space[Any]) -> None:
        super().__init__()
        known = spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary
        if not isinstance(action_space, known):
            hint = "flatten it with a gymnasium wrapper"
            what = f"no intrinsic reward for actions of {action_space}"
            raise RlpytError("space", what, where="action space", hint=hint)
        self.scale: ActionScale | None = None
        self.is_binary = isinstance(action_space, spaces.MultiBinary)
        self.sizes: list[int] = []  # of each categorical entry
        if isinstance(action_space, spaces.Box):
            self.scale = ActionScale(action_space)
            self.size = self.scale.dim
            return
        self.encoder = encoder_for(action_space)
        self.size = self.encoder.feature_size
        if isinstance(action_space, spaces.Discrete):
            self.sizes = [int(action_space.n)]
        elif isinstance(action_space, spaces.MultiDiscrete):
            self.sizes = action_space.nvec.flatten().tolist()

    def forward(self, action: Tensor) -> Tensor:
        """The code [..., size] of actions [..., *shape]."""
        if self.scale is None:
            code: Tensor = self.encoder(action)
            return code
        flat: Tensor = flatten_action(action, self.scale.shape).to(self.scale.center.dtype)
        unit: Tensor = self.scale.to_unit(
            flat.clamp(self.scale.low, self.scale.high).reshape(action.shape)
        )
        return unit

    def loss(self, prediction: Tensor, action: Tensor) -> Tensor:
        """How far ``prediction`` [N, size] is from actions [N, *shape], [N]."""
        code: Tensor = self(action)
        if self.scale is not None:
            return (prediction - code).square().mean(-1)
        if self.is_binary:
            each = functional.binary_cross_entropy_with_logits(prediction, code, reduction="none")
            return each.sum(-1)
        logits_of = torch.split(prediction, self.sizes, -1)
        parts = zip(logits_of, torch.split(code, self.sizes, -1), strict=True)
        losses = [-(functional.log_softmax(logits, -1) * hot).sum(-1) for logits, hot in parts]
        return torch.stack(losses).sum(0)
