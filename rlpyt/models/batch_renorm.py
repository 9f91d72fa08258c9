"""Batch renormalisation, for off-policy critics without target networks."""

from typing import final

import torch
from torch import Tensor, nn

__all__ = ["BatchRenorm"]


@final
class BatchRenorm(nn.Module):
    """n batch renormalisations (Ioffe 2017, arXiv:1702.03275) of [n, N, size], each with its own
    statistics, scale γ and shift β.

        train:  y = γ (x̂ r + d) + β,   x̂ = (x - μ_B) / σ_B
                r = clip(σ_B / σ, 1/r_max, r_max),   d = clip((μ_B - μ) / σ, -d_max, d_max)
        else:   y = γ (x - μ) / σ + β

    μ_B, σ_B² are of the N entries, μ, σ² running averages; r and d are constants to the gradient.
    Warm-up, limits and constants are CrossQ's (Bhatt et al. 2024, arXiv:1902.05605): r = 1, d = 0
    (plain batch normalisation) in the first ``warmup_steps`` calls, then the limits at once.

    Args:
        n: How many.
        size: Length of what is normalised.
        momentum: How far the running averages go towards the batch's.
        epsilon: Added to each variance.
        warmup_steps: Calls in training before r and d.
        r_max: Limit of r.
        d_max: Limit of d.
    """

    mean: Tensor
    var: Tensor
    steps: Tensor

    def __init__(
        self,
        n: int,
        size: int,
        *,
        momentum: float = 0.01,
        epsilon: float = 1e-3,
        warmup_steps: int = 100_000,
        r_max: float = 3.0,
        d_max: float = 5.0,
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps
        self.r_max = r_max
        self.d_max = d_max
        self.weight = nn.Parameter(torch.ones(n, 1, size))
        self.bias = nn.Parameter(torch.zeros(n, 1, size))
        self.register_buffer("mean", torch.zeros(n, 1, size))
        self.register_buffer("var", torch.ones(n, 1, size))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, train: bool) -> Tensor:
        """[n, N, size], or [N, size] for all, to [n, N, size]; in training the running averages
        take in the batch.
        """
        running_std = (self.var + self.epsilon).sqrt()
        if not train:
            return torch.addcmul(self.bias, x - self.mean, self.weight / running_std)
        whitened, mean, std = self._whitened(x)
        with torch.no_grad():
            is_warm = self.steps >= self.warmup_steps  # a tensor: the graph stays the same
            r = (std / running_std).clamp(1 / self.r_max, self.r_max)
            d = ((mean - self.mean) / running_std).clamp(-self.d_max, self.d_max)
            r = torch.where(is_warm, r, 1.0)
            d = torch.where(is_warm, d, 0.0)
            self.mean.lerp_(mean.expand_as(self.mean), self.momentum)
            self.var.lerp_((std.square() - self.epsilon).expand_as(self.var), self.momentum)
            self.steps.add_(1)
        shift = torch.addcmul(self.bias, self.weight, d)
        return torch.addcmul(shift, whitened, self.weight * r)

    def _whitened(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(x - μ_B) / σ_B, and μ_B and σ_B [n, 1, size] without gradient; one, not n, of what is
        for all.

        By torch's own batch normalisation: its statistics take a twentieth of ``var_mean``'s time.
        """
        inputs = x.unbind() if x.dim() == 3 else [x]
        parts = [
            torch.native_batch_norm(part, None, None, None, None, True, 0.0, self.epsilon)
            for part in inputs
        ]
        whitened, mean, inverse_std = map(torch.stack, zip(*parts, strict=True))
        return whitened, mean.detach().unsqueeze(1), inverse_std.detach().unsqueeze(1).reciprocal()
