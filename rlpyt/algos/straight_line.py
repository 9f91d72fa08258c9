"""A recorded gradient step as one function: no modules, no automatic differentiation, no view made
twice, and gradients written where they belong.
"""

import types
from collections.abc import Sequence
from typing import Any, Final, final

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from rlpyt.algos.recording import Recording, storage_of, written_by

__all__ = ["StraightLine"]

_aten: Final = torch.ops.aten
_EMPTY: Final = frozenset({_aten.empty_like.default, _aten.empty.memory_format})
_OF_SHAPES: Final = frozenset(  # what they give does not depend on numbers
    {_aten.ones_like.default, _aten.zeros_like.default, _aten.full_like.default}
)


@final
class StraightLine:
    """``line(*tensors)`` repeats a recorded step with other tensors of the same shapes: writes the
    gradients into ``destinations``, and returns the report.

    The operations are those of the recording, in its order: the numbers are the same to the last
    bit.
    """

    def __init__(self, recording: Recording, destinations: Sequence[Tensor]) -> None:
        """``recording`` is used up."""
        self._graph, self._values = recording.graph, recording.values
        self._constants = list(recording.constants)
        self._output = self._graph.output(recording.report)
        self._deliver(recording.gradients, destinations)
        self._fold()
        self._graph.eliminate_dead_code(is_impure_node=_is_impure)
        for node in self._graph.nodes:
            if isinstance(node.target, OpOverload):
                node.target = _shortest(node.target)
        self._forward = GraphModule({}, self._graph).forward
        self._inputs = tuple(self._values[node] for node in self._constants)
        self._values.clear()

    def __call__(self, *tensors: Tensor) -> Any:
        """The report."""
        return self._forward(*tensors, *self._inputs)

    def _deliver(self, gradients: Sequence[Node | None], destinations: Sequence[Tensor]) -> None:
        """Write each gradient to its destination: from the start, where it is a tensor that is
        allocated first and filled then.
        """
        empty = [node for node in self._graph.nodes if node.target in _EMPTY]
        sources = {storage_of(self._values[node]): node for node in empty}
        for gradient, destination in zip(gradients, destinations, strict=True):
            if gradient is not None:
                value = self._values[gradient]
                source = sources.pop(storage_of(value), None)
                whole = value if source is None else self._values[source]
                fits = whole.numel() == value.numel() and value.stride() == destination.stride()
                if source is not None and fits:
                    at = destination.storage_offset()
                    place = destination.as_strided(whole.shape, whole.stride(), at)
                    self._make_constant(source, place)
                    continue
            constant = self._constant(destination)
            with self._graph.inserting_before(self._output):
                if gradient is None:
                    self._graph.call_function(_aten.zero_.default, (constant,))
                else:
                    self._graph.call_function(_aten.copy_.default, (constant, gradient))

    def _fold(self) -> None:
        """Make now what every step would make alike: views of constants, and numbers that depend on
        shapes alone.
        """
        targets = [target for node in self._graph.nodes for target in written_by(node)]
        written = {storage_of(self._values[target]) for target in targets}
        constants, fixed = set(self._constants), set[Node]()
        for node in list(self._graph.nodes):
            target, inputs = node.target, node.all_input_nodes
            if not isinstance(target, OpOverload) or target._schema.is_mutable:
                continue
            value = self._values[node]
            if not isinstance(value, Tensor):
                continue
            is_fixed = target in _OF_SHAPES or fixed.issuperset(inputs)
            is_fixed = is_fixed and storage_of(value) not in written
            is_view = target.is_view and constants.issuperset(inputs)
            if is_view:  # of what is its own by now
                args, kwargs = map_arg((node.args, node.kwargs), self._values.__getitem__)
                value = target(*args, **kwargs)
            if is_view or is_fixed:
                constant = self._make_constant(node, value)
                constants.add(constant)
                if is_fixed:
                    fixed.add(constant)

    def _make_constant(self, node: Node, value: Tensor) -> Node:
        constant = self._constant(value)
        node.replace_all_uses_with(constant)
        self._graph.erase_node(node)
        return constant

    def _constant(self, value: Tensor) -> Node:
        last = [node for node in self._graph.nodes if node.op == "placeholder"][-1]
        with self._graph.inserting_after(last):
            constant = self._graph.placeholder(f"made_{len(self._values)}")
        self._constants.append(constant)
        self._values[constant] = value
        return constant


def _is_impure(node: Node) -> bool:
    return node.op in ("placeholder", "output") or bool(written_by(node))


def _shortest(target: OpOverload) -> Any:
    """The same operation as torch's own function or method, which costs less to call."""
    name = target._schema.name.removeprefix("aten::")
    for place, kind in (
        (torch, types.BuiltinFunctionType),
        (Tensor, types.MethodDescriptorType),
    ):
        function = getattr(place, name, None)
        if isinstance(function, kind):
            return function
    return target
