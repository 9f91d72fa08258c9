"""Perceptrons with ReLU on CPUs, forward and backward as one: the function's own chain rule leaves
out what automatic differentiation spends between products of a few hundred rows.
"""

from collections.abc import Sequence
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rlpyt.models.linear import onednn_product, onednn_takes

__all__ = ["can_fuse", "relu_mlps"]

_LARGE_PRODUCT: Final = 2**20  # multiplications of one layer; below, the calls cost more


def can_fuse(x: Tensor, largest: int) -> bool:
    """Whether :func:`relu_mlps` is of use for rows ``x`` [..., n_in] and layers of which the
    largest weight has ``largest`` numbers: float32 on a CPU, large, nothing traced or transformed.
    """
    return x.shape[-2] * largest >= _LARGE_PRODUCT and onednn_takes(x)


def relu_mlps(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """N networks h ← relu(h W + b) of every layer but the last, which has no ReLU: [n, N, out].

    Products are oneDNN's, as in :func:`rlpyt.models.linear.large_linear`. Once differentiable.

    Args:
        x: [n, N, in], or [N, in] for all.
        weights: Of each layer [n, in, out].
        biases: Of each layer [n, 1, out].
    """
    parameters = [*weights, *biases]
    if torch.is_grad_enabled():
        outputs: Tensor = _ReluMlps.apply(x, *parameters)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return outputs
    return torch.stack([hidden[-1] for hidden in _networks(x, parameters)])


def _networks(x: Tensor, parameters: Sequence[Tensor]) -> list[list[Tensor]]:
    """What each layer of each network gives, [N, out]."""
    inputs = x.unbind() if x.dim() == 3 else [x] * len(parameters[0])
    depth = len(parameters) // 2
    found = []
    for k, rows in enumerate(inputs):
        layers: list[Tensor] = []
        for weight, bias in zip(parameters[:depth], parameters[depth:], strict=True):
            last = len(layers) == depth - 1
            rows = _layer(rows, weight[k], bias[k, 0], "none" if last else "relu")
            layers.append(rows)
        found.append(layers)
    return found


def _layer(x: Tensor, weight: Tensor, bias: Tensor, then: str) -> Tensor:
    if weight.shape[1] == 1 and then == "none":
        return torch.mv(x, weight[:, 0]).unsqueeze(1) + bias
    return onednn_product(x, weight.t(), bias, then)


@final
class _ReluMlps(torch.autograd.Function):
    # Not by ``setup_context``: then torch looks up the signature in every call, which takes 40 us.
    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        networks = _networks(x, parameters)
        hidden = [layer for layers in networks for layer in layers[:-1]]
        ctx.save_for_backward(x, *parameters, *hidden)
        ctx.n_parameters = len(parameters)
        return torch.stack([layers[-1] for layers in networks])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *rest = ctx.saved_tensors
        parameters, hidden = rest[: ctx.n_parameters], rest[ctx.n_parameters :]
        depth = len(parameters) // 2
        wanted_x, *wanted = ctx.needs_input_grad
        gradients = [
            torch.empty_like(p) if w else None for p, w in zip(parameters, wanted, strict=True)
        ]
        inputs = x.unbind() if x.dim() == 3 else [x] * len(gradient)
        for_x = []
        for k, rows in enumerate(inputs):
            layers = [rows, *hidden[k * (depth - 1) : (k + 1) * (depth - 1)]]
            weights = [weight[k] for weight in parameters[:depth]]
            into = [None if g is None else g[k] for g in gradients]
            for_x.append(_chain(gradient[k], layers, weights, into, wanted_x))
        if not wanted_x:
            return None, *gradients
        return torch.stack(for_x) if x.dim() == 3 else sum(for_x[1:], for_x[0]), *gradients


def _chain(
    gradient: Tensor,
    inputs: Sequence[Tensor],
    weights: Sequence[Tensor],
    into: Sequence[Tensor | None],
    wanted_x: bool,
) -> Tensor:
    """One network's chain rule from its output's ``gradient`` [N, out] down: writes gradients of
    weights and biases ``into`` tensors, and returns that of the input, where ``wanted_x``.
    """
    depth = len(weights)
    for layer in range(depth - 1, -1, -1):
        rows, weight = inputs[layer], weights[layer]
        for_weight, for_bias = into[layer], into[depth + layer]
        if for_weight is not None:
            _weight_gradient(rows, gradient, for_weight)
        if for_bias is not None:
            torch.sum(gradient, 0, keepdim=True, out=for_bias)
        if layer > 0 or wanted_x:
            single = weight.shape[1] == 1
            gradient = gradient * weight.t() if single else onednn_product(gradient, weight)
        if layer > 0:
            gradient = torch.ops.aten.threshold_backward(gradient, rows, 0)
    return gradient


def _weight_gradient(x: Tensor, gradient: Tensor, into: Tensor) -> None:
    """``x.T @ gradient``; the library prefers the longer side as columns."""
    if gradient.shape[1] == 1:
        torch.mv(x.t(), gradient[:, 0], out=into[:, 0])
    elif gradient.shape[1] < x.shape[1]:
        into.t().copy_(onednn_product(gradient.t().contiguous(), x.t()))
    elif gradient.shape[1] == x.shape[1] and not into.is_contiguous():
        into.t().copy_(onednn_product(gradient.t(), x.t()))
    else:
        into.copy_(onednn_product(x.t(), gradient.t()))
