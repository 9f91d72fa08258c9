"""Parameters of a model as parts of one vector."""

import torch
from torch import Tensor, nn

from rlpyt.utils.errors import RlpytError

__all__ = ["flatten", "named_parts", "padded", "view_as"]

_ALIGNMENT = 64  # bytes, as torch allocates


def flatten(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Make every trainable parameter, and its gradient, a view of one vector; return both."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    kinds = {(parameter.dtype, parameter.device) for parameter in parameters}
    if len(kinds) != 1:
        raise RlpytError(
            "model",
            "trainable parameters of one optimizer must share dtype and device, "
            f"found {sorted(map(str, kinds))}",
        )
    sizes = [padded(parameter) for parameter in parameters]
    vector = torch.zeros(sum(sizes), dtype=parameters[0].dtype, device=parameters[0].device)
    gradient = torch.zeros_like(vector)
    parts = zip(parameters, torch.split(vector, sizes), torch.split(gradient, sizes), strict=True)
    for parameter, values, gradients in parts:
        view = view_as(values, parameter)
        view.copy_(parameter.detach())
        parameter.grad = view_as(gradients, parameter)
        parameter.data = view
    return vector.requires_grad_(), gradient


def named_parts(model: nn.Module, vector: Tensor) -> dict[str, Tensor]:
    """What :func:`flatten` has made of ``model``, or its gradient, parameter by parameter; as
    "vector" where that is of more than is trainable now.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    sizes = [padded(parameter) for _name, parameter in named]
    if sum(sizes) != vector.numel():
        return {"vector": vector}
    parts = zip(named, torch.split(vector.detach(), sizes), strict=True)
    return {name: view_as(part, parameter) for (name, parameter), part in parts}


def view_as(part: Tensor, parameter: Tensor) -> Tensor:
    """The first numbers of ``part`` in the shape of ``parameter``, and in its order in memory where
    that is channels_last: convolutions would rearrange their weights in every call.
    """
    shape, numbers = parameter.shape, part[: parameter.numel()]
    if parameter.dim() != 4 or not parameter.is_contiguous(memory_format=torch.channels_last):
        return numbers.view(shape)
    n_out, n_in, height, width = shape
    return numbers.view(n_out, height, width, n_in).permute(0, 3, 1, 2)


def padded(parameter: Tensor) -> int:
    """Numbers that ``parameter`` takes in the vector: each begins where a tensor of its own would,
    for matrix products may sum in another order elsewhere. A worker's copy gives the same floats.
    """
    unit = max(1, _ALIGNMENT // parameter.element_size())
    return -(-parameter.numel() // unit) * unit
