"""Buffers: trees of tensors allocated once, shaped after an example, seen from torch and from
numpy.

A *tree* is a tensor, an array, ``None``, or a NamedArrayTuple of trees.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlpyt.utils.collections import is_namedarraytuple

__all__ = [
    "buffer_from_example",
    "buffer_map",
    "buffer_to",
    "fill_poison",
    "get_leading_dims",
    "infer_leading_dims",
    "leaf_at",
    "leaves",
    "numpify_buffer",
    "replace_leaf",
    "torchify_buffer",
]

Tree = Any
_POISON_INT = -42


def buffer_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply ``function`` to every leaf of ``tree`` (and the matching leaves of ``others``);
    ``None`` stays ``None``.
    """
    if tree is None:
        return None
    if is_namedarraytuple(tree):
        return type(tree)._make(
            buffer_map(function, *nodes) for nodes in zip(tree, *others, strict=True)
        )
    return function(tree, *others)


def leaves(tree: Tree) -> list[Any]:
    """The leaves of ``tree`` in field order, without ``None``."""
    found: list[Any] = []
    _collect_leaves(tree, found)
    return found


def _collect_leaves(tree: Tree, found: list[Any]) -> None:
    if isinstance(tree, tuple):  # of the nodes of a tree only NamedArrayTuples are tuples
        for node in tree:
            _collect_leaves(node, found)
    elif tree is not None:
        found.append(tree)


def leaf_at(tree: Tree, path: Sequence[str]) -> Any:
    """The node of ``tree`` that these field names lead to; the tree itself without any."""
    for name in path:
        tree = getattr(tree, name)
    return tree


def replace_leaf(tree: Tree, path: Sequence[str], leaf: Any) -> Tree:
    """``tree`` with ``leaf`` where these field names lead."""
    if not path:
        return leaf
    child = replace_leaf(getattr(tree, path[0]), path[1:], leaf)
    return tree._replace(**{path[0]: child})


def buffer_from_example(
    example: Tree,
    leading_dims: tuple[int, ...],
    *,
    share_memory: bool = False,
    poison: bool = False,
    device: str | torch.device = "cpu",
) -> Tree:
    """A zeroed tree of tensors, each ``[*leading_dims, *example.shape]`` with the example's dtype.

    ``share_memory`` puts the tensors into anonymous shared memory, for worker processes. ``poison``
    fills with NaN (floats) or -42 (integers), so that reading what was never written shows. On the
    ``meta`` device a tree takes no memory: a plan for a SharedBlock.
    """

    def build(leaf: Any) -> Tensor:
        leaf = torch.as_tensor(leaf)
        buffer = torch.zeros(*leading_dims, *leaf.shape, dtype=leaf.dtype, device=device)
        if share_memory:
            buffer.share_memory_()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return buffer

    tree = buffer_map(build, example)
    if poison:
        fill_poison(tree)
    return tree


def fill_poison(tree: Tree) -> None:
    """Fill with NaN (floats) or -42 (integers), so that reading what was never written shows."""
    for leaf in leaves(tree):
        if leaf.dtype != torch.bool:
            leaf.fill_(_poison(leaf.dtype))


def _poison(dtype: torch.dtype) -> float:
    if dtype.is_floating_point:
        return math.nan
    return _POISON_INT if dtype.is_signed else torch.iinfo(dtype).max + 1 + _POISON_INT


def numpify_buffer(tree: Tree) -> Tree:
    """Numpy views of a tree of CPU tensors: the same memory."""
    return buffer_map(
        lambda leaf: leaf.numpy() if isinstance(leaf, Tensor) else np.asarray(leaf), tree
    )


def torchify_buffer(tree: Tree) -> Tree:
    """Torch views of a tree of arrays: the same memory."""
    return buffer_map(torch.as_tensor, tree)


def buffer_to(tree: Tree, device: torch.device) -> Tree:
    """``tree`` on ``device``; leaves already there are not copied."""
    return buffer_map(lambda leaf: leaf.to(device, non_blocking=True), tree)


def get_leading_dims(tree: Tree, n_dim: int = 1) -> tuple[int, ...]:
    """The first ``n_dim`` dimensions, equal in every leaf.

    Raises:
        ValueError: where two leaves differ.
    """
    found = {tuple(leaf.shape[:n_dim]) for leaf in leaves(tree)}
    if len(found) != 1:
        raise ValueError(f"leaves disagree on their first {n_dim} dimensions: {sorted(found)}")
    return found.pop()


def infer_leading_dims(tensor: Tensor, n_dim: int) -> tuple[tuple[int, ...], Tensor]:
    """Split ``[*leading, *data]``, ``n_dim`` data dimensions, into ``leading`` and the tensor
    flattened to ``[N, *data]``.
    """
    split = tensor.dim() - n_dim
    leading = tuple(tensor.shape[:split])
    return leading, tensor.reshape(-1, *tensor.shape[split:])
