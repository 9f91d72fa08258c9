"""Linear layers with learned parametric noise, for exploration (Fortunato et al. 2018,
arXiv:1706.10295).

Noise is a buffer of each layer: zero at first, so that the layer is linear by its means; drawn for
a whole model by :func:`resample_noise`; part of the state_dict, so that who takes parameters takes
the noise with them. :func:`without_noise` leaves it out for a while, to act by the means.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Final, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rlpyt.models.mlp import HIDDEN_GAIN, Init, Nonlinearity, nonlinearity_function

__all__ = ["NoisyLinear", "NoisyMlp", "has_noise", "resample_noise", "without_noise"]

# With fewer rows than this a second matrix product costs less than building the noisy weights.
_FEW_ROWS: Final = 24


@final
class NoisyLinear(nn.Module):
    """A linear layer [..., p] to [..., q] with factorised Gaussian noise, eq. 9-11 of the paper.

        y = (μ_w + σ_w ⊙ f(ε_out) f(ε_in)ᵀ) x + μ_b + σ_b ⊙ f(ε_out),   f(ε) = sgn(ε) √|ε|

    Parameters ``weight`` [q, p] and ``bias`` [q] are the means, ``weight_sigma`` and ``bias_sigma``
    the σ; buffers ``noise_in`` [p] and ``noise_out`` [q] hold f(ε).

    Args:
        input_size: p.
        output_size: q.
        sigma_0: σ starts as sigma_0 / √p, the paper's 0.5.
        gain: Means are orthogonal times this, biases zero; ``None``: uniform in ±1/√p, the paper's.
    """

    noise_in: Tensor
    noise_out: Tensor

    def __init__(
        self, input_size: int, output_size: int, *, sigma_0: float = 0.5, gain: float | None = None
    ) -> None:
        super().__init__()
        self.by_means = False
        bound = 1 / math.sqrt(input_size)
        self.weight = nn.Parameter(torch.empty(output_size, input_size))
        self.bias = nn.Parameter(torch.zeros(output_size))
        if gain is None:
            nn.init.uniform_(self.weight, -bound, bound)
            nn.init.uniform_(self.bias, -bound, bound)
        else:
            nn.init.orthogonal_(self.weight, gain)
        self.weight_sigma = nn.Parameter(torch.full((output_size, input_size), sigma_0 * bound))
        self.bias_sigma = nn.Parameter(torch.full((output_size,), sigma_0 * bound))
        self.register_buffer("noise_in", torch.zeros(input_size))
        self.register_buffer("noise_out", torch.zeros(output_size))

    def forward(self, x: Tensor) -> Tensor:
        """[..., p] to [..., q]."""
        if self.by_means:
            return linear(x, self.weight, self.bias)
        bias = torch.addcmul(self.bias, self.bias_sigma, self.noise_out)
        if x.numel() < _FEW_ROWS * x.shape[-1]:
            noise = linear(x * self.noise_in, self.weight_sigma) * self.noise_out
            return linear(x, self.weight, bias) + noise
        scaled = self.weight_sigma * self.noise_out.unsqueeze(1)
        return linear(x, torch.addcmul(self.weight, scaled, self.noise_in), bias)


@final
class NoisyMlp(nn.Module):
    """As :class:`rlpyt.models.mlp.Mlp`, of noisy layers: [..., input_size] to [..., output_size].

    Args:
        input_size: Length of the input.
        hidden_sizes: Length of each hidden layer; may be empty.
        output_size: Length of a last layer without nonlinearity; ``None`` for none.
        nonlinearity: The function after each hidden layer.
        init: How the means start: ``"orthogonal"`` (hidden gain sqrt 2, biases 0) or ``"default"``.
        output_gain: Orthogonal gain of the last layer.
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        output_size: int | None = None,
        nonlinearity: Nonlinearity = "relu",
        *,
        init: Init = "default",
        output_gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.activation = nonlinearity_function(nonlinearity)
        orthogonal = init == "orthogonal"
        sizes = (input_size, *hidden_sizes)
        self.hidden = nn.ModuleList(
            NoisyLinear(n_in, n_out, gain=HIDDEN_GAIN if orthogonal else None)
            for n_in, n_out in pairwise(sizes)
        )
        self.output: NoisyLinear | None = None
        if output_size is not None:
            gain = output_gain if orthogonal else None
            self.output = NoisyLinear(sizes[-1], output_size, gain=gain)
        self.output_size = sizes[-1] if output_size is None else output_size

    def forward(self, x: Tensor) -> Tensor:
        """[..., input_size] to [..., output_size]."""
        for layer in self.hidden:
            x = self.activation(layer(x))
        return x if self.output is None else self.output(x)


def has_noise(module: nn.Module) -> bool:
    """Whether ``module`` holds any noisy layer."""
    return bool(_noises(module))


@torch.no_grad()
def resample_noise(module: nn.Module, rng: np.random.Generator) -> None:
    """Draw new noise for every noisy layer of ``module``, in the order of its modules.

    In place: not between a forward pass and its backward pass, which torch would refuse.
    """
    noises = _noises(module)
    if not noises:
        return
    sizes = [noise.numel() for noise in noises]
    epsilon = rng.standard_normal(sum(sizes), dtype=np.float32)
    # numpy rounds a root exactly; torch takes a library's, whose last bit is the processor's.
    scaled = torch.from_numpy(np.sign(epsilon) * np.sqrt(np.abs(epsilon))).to(noises[0].device)
    for noise, values in zip(noises, scaled.split(sizes), strict=True):  # type: ignore[no-untyped-call]  # missing from torch's stubs
        noise.copy_(values)


@contextmanager
def without_noise(module: nn.Module) -> Iterator[None]:
    """Let every noisy layer of ``module`` compute by its means alone; the noise stays as it is."""
    layers = _layers(module)
    for layer in layers:
        layer.by_means = True
    try:
        yield
    finally:
        for layer in layers:
            layer.by_means = False


def _layers(module: nn.Module) -> list[NoisyLinear]:
    return [layer for layer in module.modules() if isinstance(layer, NoisyLinear)]


def _noises(module: nn.Module) -> list[Tensor]:
    return [noise for layer in _layers(module) for noise in (layer.noise_in, layer.noise_out)]
