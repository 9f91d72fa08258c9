"""What torch carries out in one gradient step, written down: a straight line of operations."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Graph, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

__all__ = ["Recording", "record", "storage_of", "written_by"]

Gradients = list[Tensor | None]


class Recording(NamedTuple):
    """The operations of one step, forward and backward, in the order they were carried out in.

    A node stands for memory: tensors that show the same numbers are one node, so that ``detach``
    and repeated views leave no operation behind.
    """

    graph: Graph  # its placeholders: the arguments' tensors, then the constants
    values: dict[Node, Any]  # what each node was
    constants: list[Node]  # parameters, buffers: all that came from elsewhere
    gradients: list[Node | None]  # None: the loss does not depend on it
    report: Any  # tree of nodes
    problem: str | None  # why it must not be repeated

    def same_as(self, other: "Recording") -> bool:
        """Whether the other step did the same to the same memory, arguments aside."""
        if str(self.graph) != str(other.graph) or str(self[3:5]) != str(other[3:5]):
            return False
        pairs = zip(self.constants, other.constants, strict=True)
        return all(_place(self.values[a]) == _place(other.values[b]) for a, b in pairs)

    def changed(self) -> list[Tensor]:
        """Constants that the step writes to: running statistics."""
        targets = [target for node in self.graph.nodes for target in written_by(node)]
        written = {storage_of(self.values[target]) for target in targets}
        constants = [self.values[node] for node in self.constants]
        return [value for value in constants if storage_of(value) in written]


def record(
    loss: Callable[..., tuple[Tensor, Any]],
    parameters: Sequence[Tensor],
    args: tuple[Any, ...],
    tensors: Sequence[Tensor],
) -> tuple[Gradients, Any, Recording]:
    """Gradients of ``loss(*args)`` as always, its report, and how they came about.

    Args:
        loss: Returns a scalar, and a tree of tensors to report.
        parameters: Towards which the gradients are.
        args: Any trees.
        tensors: Their tensors.
    """
    with _Recorder(tensors) as recorder:
        total, report = loss(*args)
        gradients: Gradients = list(torch.autograd.grad(total, parameters, allow_unused=True))
    nodes = [None if gradient is None else recorder.node(gradient) for gradient in gradients]
    reported = tree_map(recorder.reported, report)
    graph, values, constants = recorder.graph, recorder.values, recorder.constants
    found = Recording(graph, values, constants, nodes, reported, recorder.problem)
    return gradients, report, found


def written_by(node: Node) -> list[Node]:
    """What an operation writes to."""
    if not isinstance(node.target, OpOverload) or not node.target._schema.is_mutable:
        return []
    found: list[Any] = []
    for index, argument in enumerate(node.target._schema.arguments):
        if argument.is_write:
            by_name = argument.kwarg_only or index >= len(node.args)
            found.append(node.kwargs.get(argument.name) if by_name else node.args[index])
    return [target for target in tree_leaves(found) if isinstance(target, Node)]


def storage_of(value: Tensor) -> int:
    """Names the memory of a living tensor, which others may share."""
    return int(value.untyped_storage()._cdata)


def _place(value: Tensor) -> tuple[Any, ...]:
    """Names the numbers that a living tensor shows."""
    return storage_of(value), value.storage_offset(), value.shape, value.stride(), value.dtype


@final
class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Listens to all that torch carries out and changes nothing; keeps every result, so that no
    memory is used twice.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.graph = Graph()
        self.values: dict[Node, Any] = {}
        self.constants: list[Node] = []
        self.problem: str | None = None
        self._nodes: dict[tuple[Any, ...], Node] = {}
        self._last: Node | None = None  # placeholder
        for tensor in tensors:
            if _place(tensor) in self._nodes and tensor.numel() > 0:
                self.problem = "the same tensor is given twice"
            self._add_placeholder(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self.problem = self.problem or _refusal(func, args)
        inputs = tree_map_only(Tensor, self.node, (args, kwargs))
        result = func(*args, **kwargs)
        node = self.graph.call_function(func, *inputs)
        self.values[node] = result
        if isinstance(result, Tensor):
            self._keep(node, result)
        elif isinstance(result, tuple | list):
            for index, output in enumerate(result):
                if isinstance(output, Tensor):
                    self._keep(self.graph.call_function(operator.getitem, (node, index)), output)
        return result

    def node(self, tensor: Tensor) -> Node:
        """What stands for ``tensor``."""
        found = self._nodes.get(_place(tensor))
        if found is None:
            found = self._add_placeholder(tensor.detach())
            self.constants.append(found)
        return found

    def reported(self, leaf: Any) -> Any:
        """What stands for a leaf of the report."""
        if isinstance(leaf, Tensor):
            return self.node(leaf)
        if leaf is not None:
            self.problem = f"it reports {leaf!r}, which is no tensor"
        return leaf

    def _keep(self, node: Node, tensor: Tensor) -> None:
        self.values[node] = tensor
        self._nodes.setdefault(_place(tensor), node)

    def _add_placeholder(self, tensor: Tensor) -> Node:
        last = self._last
        with self.graph.inserting_after(last) if last else self.graph.inserting_before(None):
            node = self.graph.placeholder(f"given_{len(self.values)}")
        self._last = node
        self.values[node] = tensor
        self._nodes.setdefault(_place(tensor), node)
        return node


def _refusal(func: Any, args: tuple[Any, ...]) -> str | None:
    """Why an operation cannot be repeated as it was; None: it can."""
    if torch.Tag.nondeterministic_seeded in func.tags:
        return f"{func} draws from a global generator"
    if torch.Tag.data_dependent_output in func.tags:
        return f"{func}: Python looks at a number"
    if torch.Tag.dynamic_output_shape in func.tags and not _indexes_by_numbers(func, args):
        return f"{func}: a shape depends on numbers"
    return None


def _indexes_by_numbers(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether it is an index whose shape does not depend on what is in it: one without masks."""
    return func is torch.ops.aten.index.Tensor and all(
        index is None or index.dtype in (torch.int64, torch.int32) for index in args[1]
    )
