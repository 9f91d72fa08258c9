"""A state value for any observation, beside a policy and critics of their own."""

from collections.abc import Sequence
from typing import Any, Self, final

from gymnasium import Space
from torch import Tensor, nn

from rlpyt.models.encoder import Encoder, ImageTrunk, encoder_for
from rlpyt.models.mlp import Mlp, Nonlinearity

__all__ = ["ValueModel"]


@final
class ValueModel(nn.Module):
    """V(s), [...], of an observation tree [..., *shape]. Build it with :meth:`from_spaces`."""

    def __init__(self, *, encoder: Encoder, network: Mlp) -> None:
        super().__init__()
        self.encoder = encoder
        self.network = network

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        *,
        hidden_sizes: Sequence[int] = (256, 256),
        nonlinearity: Nonlinearity = "relu",
        image: ImageTrunk = "auto",
    ) -> Self:
        """Build for this space; all starts as torch does.

        Args:
            observation_space: What is observed.
            hidden_sizes: Hidden layers over the features.
            nonlinearity: Between them.
            image: How images are encoded.
        """
        encoder = encoder_for(observation_space, image=image)
        network = Mlp(encoder.feature_size, hidden_sizes, 1, nonlinearity, init="default")
        return cls(encoder=encoder, network=network)

    def forward(self, observation: Any) -> Tensor:
        """[..., *shape] to [...]."""
        value: Tensor = self.network(self.encoder(observation))
        return value.squeeze(-1)
