"""How an implicit quantile network takes in quantile fractions (Dabney et al. 2018).

Fractions τ lie in [0, 1]: the quantile of fraction τ is what the return stays below with
probability τ.
"""

import math
from typing import final

import torch
from torch import Tensor, nn

from rlpyt.models.mlp import HIDDEN_GAIN, Init, orthogonal_

__all__ = ["CosineEmbedding"]


@final
class CosineEmbedding(nn.Module):
    """Features for fractions: ψ ⊙ φ(τ) (IQN, arXiv:1806.06923, eq. 4).

        φ_j(τ) = ReLU(Σ_{i=0}^{n-1} cos(π i τ) w_ij + b_j)

    Args:
        feature_size: F, the length of ψ and φ.
        n_cosines: n, the paper's 64.
        init: How the linear layer starts.
    """

    multiples: Tensor

    def __init__(self, feature_size: int, n_cosines: int = 64, *, init: Init = "default") -> None:
        super().__init__()
        self.linear = nn.Linear(n_cosines, feature_size)
        if init == "orthogonal":
            orthogonal_(self.linear, HIDDEN_GAIN)
        self.register_buffer("multiples", math.pi * torch.arange(n_cosines), persistent=False)

    def forward(self, features: Tensor, fractions: Tensor) -> Tensor:
        """ψ ⊙ φ(τ), [..., N, F].

        Args:
            features: ψ [..., F].
            fractions: τ [..., N], or [N] for all alike.
        """
        cosines = torch.cos(fractions.unsqueeze(-1) * self.multiples).to(features.dtype)
        return features.unsqueeze(-2) * torch.relu(self.linear(cosines))
