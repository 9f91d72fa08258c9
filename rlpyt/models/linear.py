"""Linear layers of large batches on CPUs, by the library that convolutions use."""

from collections.abc import Callable
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

__all__ = [
    "LinearFunction",
    "large_linear",
    "linear_function",
    "onednn_product",
    "onednn_takes",
]

_LARGE_WEIGHT: Final = 2**14  # numbers
_LARGE_PRODUCT: Final = 2**22  # multiplications; below, the calls from Python cost more

LinearFunction = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Input, weight and bias to output, as ``torch.nn.functional.linear``."""


def linear_function(weight: Tensor) -> LinearFunction:
    """What multiplies by ``weight``: :func:`large_linear` where that can be of use, else torch's
    own, which costs less to call.
    """
    return large_linear if weight.numel() >= _LARGE_WEIGHT else functional.linear


def large_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias``, [..., n_in] to [..., n_out], as ``torch.nn.functional.linear``.

    Large products of float32 on a CPU are oneDNN's, forward and backward, as convolutions are,
    instead of the BLAS's: the same on Intel's processors, where both are Intel's, and twice as fast
    on AMD's, for which torch's MKL is not tuned. Once differentiable.
    """
    if x.numel() * weight.shape[0] < _LARGE_PRODUCT or not onednn_takes(x):
        return functional.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled():
        product: Tensor = _OneDnnLinear.apply(rows, weight, bias)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    else:
        product = onednn_product(rows, weight, bias)
    return product if x.dim() == 2 else product.view(*x.shape[:-1], weight.shape[0])


def onednn_takes(x: Tensor) -> bool:
    """Whether products with ``x`` can be :func:`onednn_product`: float32 on a CPU, nothing traced
    or transformed.
    """
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.compiler.is_compiling()  # chooses by itself
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    )


def onednn_product(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, then: str = "none"
) -> Tensor:
    """``x @ weight.T + bias`` of matrices, then possibly ``"relu"``; without gradient."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], "")
    return result


@final
class _OneDnnLinear(torch.autograd.Function):
    """The product and its gradients, which are products too."""

    # Not by ``setup_context``: then torch looks up the signature in every call, which takes 40 us.
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return onednn_product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            onednn_product(gradient, weight.t()) if for_x else None,
            onednn_product(gradient.t().contiguous(), x.t()) if for_weight else None,
            gradient.sum(0) if for_bias else None,
        )
