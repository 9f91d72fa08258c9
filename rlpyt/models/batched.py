"""N networks of one shape computed as one: their weights lie in one tensor [n, in, out]."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rlpyt.models.batch_renorm import BatchRenorm
from rlpyt.models.linear import onednn_product, onednn_takes
from rlpyt.models.mlp import HIDDEN_GAIN, Init, Nonlinearity, nonlinearity_function
from rlpyt.models.relu_mlp import can_fuse, relu_mlps
from rlpyt.utils.errors import RlpytError

__all__ = ["BatchedLayerNorm", "BatchedLinear", "BatchedMlp", "batched_linear"]

_LARGE_PRODUCT: Final = 2**20  # multiplications of one network; below, the calls cost more


@final
class BatchedLinear(nn.Module):
    """n linear layers: [n, N, in] to [n, N, out]; [N, in] is the input of each.

    Each starts as a ``torch.nn.Linear`` of its own does, uniformly within ±1/√in.

    Args:
        n: Layers.
        input_size: Length of the input.
        output_size: Length of the output.
    """

    def __init__(self, n: int, input_size: int, output_size: int) -> None:
        super().__init__()
        layers = [nn.Linear(input_size, output_size) for _ in range(n)]
        weight = torch.stack([layer.weight.detach().t() for layer in layers])
        self.weight = nn.Parameter(weight.contiguous())
        self.bias = nn.Parameter(
            torch.stack([layer.bias.detach() for layer in layers]).unsqueeze(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, N, in] or [N, in] to [n, N, out]."""
        return batched_linear(x, self.weight, self.bias)


@final
class BatchedLayerNorm(nn.Module):
    """n layer normalisations (Ba et al. 2016, arXiv:1607.06450) of [n, N, size], each with its own
    scale and shift.

    Args:
        n: How many.
        size: Length of what is normalised.
    """

    def __init__(self, n: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.ones(n, 1, size))
        self.bias = nn.Parameter(torch.zeros(n, 1, size))

    def forward(self, x: Tensor) -> Tensor:
        """[n, N, size] to the same."""
        return torch.addcmul(self.bias, functional.layer_norm(x, (self.size,)), self.weight)


@final
class BatchedMlp(nn.Module):
    """n independent perceptrons of one shape: [n, N, input_size] to [n, N, output_size];
    [N, input_size] is the input of each.

    Args:
        n: Networks.
        input_size: Length of the input.
        hidden_sizes: Length of each hidden layer; may be empty.
        output_size: Length of the output, which has no nonlinearity.
        nonlinearity: The function after each hidden layer.
        layer_norm: Normalise before each nonlinearity.
        batch_renorm: Normalise the input and behind each nonlinearity by statistics of the batch,
            as CrossQ does (:class:`rlpyt.models.batch_renorm.BatchRenorm`).
        init: ``"default"`` (torch's) or ``"orthogonal"`` (hidden gain sqrt 2, biases 0).

    Raises:
        RlpytError: for a size below 1, an unknown nonlinearity, or both normalisations.
    """

    def __init__(
        self,
        n: int,
        input_size: int,
        hidden_sizes: Sequence[int],
        output_size: int,
        nonlinearity: Nonlinearity = "relu",
        *,
        layer_norm: bool = False,
        batch_renorm: bool = False,
        init: Init = "default",
    ) -> None:
        super().__init__()
        sizes = (input_size, *hidden_sizes)
        if min(n, output_size, *sizes) < 1:
            what = f"{n} networks of sizes {[*sizes, output_size]}"
            raise RlpytError("config", what, hint="use 1 or more for each")
        if layer_norm and batch_renorm:
            raise RlpytError(
                "config", "layer_norm and batch_renorm together", hint="choose one of them"
            )
        self.activation = nonlinearity_function(nonlinearity)
        self.hidden = nn.ModuleList(BatchedLinear(n, *pair) for pair in pairwise(sizes))
        self.norms = nn.ModuleList(
            BatchedLayerNorm(n, size) for size in (hidden_sizes if layer_norm else ())
        )
        self.renorms = nn.ModuleList(BatchRenorm(n, size) for size in sizes if batch_renorm)
        self.output = BatchedLinear(n, sizes[-1], output_size)
        if init == "orthogonal":
            _orthogonal_(self.hidden, HIDDEN_GAIN)
            _orthogonal_([self.output], 1.0)
        self._is_plain_relu = nonlinearity == "relu" and not (layer_norm or batch_renorm)
        self._largest = max(n_in * n_out for n_in, n_out in pairwise((*sizes, output_size)))

    def forward(self, x: Tensor, train: bool = False) -> Tensor:
        """[n, N, input_size] or [N, input_size] to [n, N, output_size].

        ``train``: by the batch's statistics, which the running ones take in; else by the running
        ones. Concerns ``batch_renorm`` only.
        """
        if self._is_plain_relu and can_fuse(x, self._largest):
            layers = [*self.hidden, self.output]
            return relu_mlps(x, [m.weight for m in layers], [m.bias for m in layers])
        if self.renorms:
            x = self.renorms[0](x, train)
        for index, layer in enumerate(self.hidden):
            x = layer(x)
            if self.norms:
                x = self.norms[index](x)
            x = self.activation(x)
            if self.renorms:
                x = self.renorms[index + 1](x, train)
        output: Tensor = self.output(x)
        return output


def batched_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x @ weight + bias`` for n layers at once, [n, N, out].

    One ``torch.baddbmm``, but on a CPU, where its matrix library may be the slower one
    (:func:`rlpyt.models.linear.large_linear`): there large products of float32 are oneDNN's, one
    after another, and a single output is a sum over elements. Those are once differentiable.

    Args:
        x: [n, N, in], or [N, in] for all layers.
        weight: [n, in, out].
        bias: [n, 1, out].
    """
    on_cpu = x.device.type == "cpu"
    if on_cpu and weight.shape[-1] == 1:
        return (x * weight.mT).sum(-1, keepdim=True) + bias
    if on_cpu and _is_large(x, weight):
        if not torch.is_grad_enabled():
            return _products(x, weight, bias)
        product: Tensor = _OneDnnBatchedLinear.apply(x, weight, bias)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return product
    return torch.baddbmm(bias, x.expand(weight.shape[0], *x.shape[-2:]), weight)


def _orthogonal_(layers: Iterable[nn.Module], gain: float) -> None:
    """Make the matrix of each network orthogonal times ``gain``, the biases zero."""
    for layer in layers:
        assert isinstance(layer, BatchedLinear)
        for weight in layer.weight.detach():
            nn.init.orthogonal_(weight, gain)
        nn.init.zeros_(layer.bias)


def _is_large(x: Tensor, weight: Tensor) -> bool:
    large = x.shape[-2] * weight.shape[-2] * weight.shape[-1] >= _LARGE_PRODUCT
    return large and onednn_takes(x)


def _products(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    parts = zip(_inputs(x, len(weight)), weight.mT.unbind(), bias.squeeze(1).unbind(), strict=True)
    return torch.stack([onednn_product(*part) for part in parts])


def _weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """``x.T @ gradient``, [in, out]; the library prefers the longer side as columns."""
    if gradient.shape[1] < x.shape[1]:
        return onednn_product(gradient.t().contiguous(), x.t()).t()
    return onednn_product(x.t(), gradient.t())


@final
class _OneDnnBatchedLinear(torch.autograd.Function):
    """The products and their gradients, which are products too."""

    # Not by ``setup_context``: then torch looks up the signature in every call, which takes 40 us.
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _products(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted_x, wanted_weight, wanted_bias = ctx.needs_input_grad
        gradients = gradient.contiguous().unbind()
        for_x = for_weight = None
        if wanted_x:
            pairs = zip(gradients, weight.unbind(), strict=True)
            for_x = torch.stack([onednn_product(*pair) for pair in pairs])
            for_x = for_x if x.dim() == 3 else for_x.sum(0)
        if wanted_weight:
            pairs = zip(_inputs(x, len(weight)), gradients, strict=True)
            for_weight = torch.stack([_weight_gradient(*pair) for pair in pairs])
        return for_x, for_weight, gradient.sum(1, keepdim=True) if wanted_bias else None


def _inputs(x: Tensor, n: int) -> Sequence[Tensor]:
    """The input of each layer, [N, in]."""
    return x.unbind() if x.dim() == 3 else [x] * n
