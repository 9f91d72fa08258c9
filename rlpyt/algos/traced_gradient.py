"""Gradients of a loss by what its first steps did, recorded: the arithmetic without the rest."""

import math
import warnings
from collections.abc import Callable, Hashable
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from rlpyt.algos.recording import Recording, record
from rlpyt.algos.straight_line import StraightLine

__all__ = ["TracedGradient"]

_MOST_SHAPES: Final = 8


@final
class TracedGradient:
    """``compute(*args)`` writes the gradients of ``loss(*args)`` where parameters have theirs, and
    returns the report.

    For each structure and shapes of ``args`` the first two steps are carried out as always and
    recorded. If they did the same, the others repeat it, operation by operation: Python, modules
    and automatic differentiation are left out, the numbers are the same. Memory that changes in
    place (parameters, buffers, log α) is read as it is at the time.

    Where that cannot be, ``eager`` takes over for good, and a warning says why: where the loss
    looks at numbers, draws from a global generator, makes tensors of Python's numbers, or where the
    second step did something else.

    Args:
        model: Whose parameters learn; each has its gradient.
        loss: Returns a scalar, and a tree of tensors to report. Beside its arguments it may read
            tensors that stay where they are.
        eager: Does the same without a record.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., tuple[Tensor, Any]],
        eager: Callable[..., Any],
    ) -> None:
        self._name = type(model).__name__
        self._loss = loss
        self._eager = eager
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._gradients = [p.grad for p in self._parameters if p.grad is not None]
        self._lines: dict[Hashable, Recording | StraightLine] = {}
        self._problem: str | None = None

    def compute(self, *args: Any) -> Any:
        """What the loss reports."""
        tensors: list[Tensor] = []
        key = _structure(args, tensors)
        line = self._lines.get(key)
        if isinstance(line, StraightLine):
            with torch.inference_mode():
                return line(*tensors)
        if self._problem is None and len(self._lines) - (line is not None) >= _MOST_SHAPES:
            self._stop(f"its arguments have more than {_MOST_SHAPES} shapes")
        if self._problem is not None:
            return self._eager(*args)
        return self._recorded(key, line, args, tensors)

    def _recorded(
        self, key: Hashable, before: Recording | None, args: tuple[Any, ...], tensors: list[Tensor]
    ) -> Any:
        """A step as always; if it is like the one ``before``, the next ones repeat it."""
        changed = [] if before is None else before.changed()
        was = [value.clone() for value in changed]
        gradients, report, recording = record(self._loss, self._parameters, args, tensors)
        for place, gradient in zip(self._gradients, gradients, strict=True):
            place.zero_() if gradient is None else place.copy_(gradient)
        if recording.problem is not None:
            self._stop(recording.problem)
        elif before is None:
            self._lines[key] = recording
        elif not recording.same_as(before):
            self._stop("two steps of the same shapes do not do the same")
        else:
            line = StraightLine(recording, self._gradients)
            problem = self._difference(line, tensors, report, changed, was)
            if problem is None:
                self._lines[key] = line
            else:
                self._stop(problem)
        return report

    def _difference(
        self,
        line: StraightLine,
        tensors: list[Tensor],
        report: Any,
        changed: list[Tensor],
        was: list[Tensor],
    ) -> str | None:
        """Repeat the step that was just carried out, from what ``changed`` ``was`` before it, and
        say what differs; leaves all as it is.
        """
        results = [*self._gradients, *changed]
        wanted = [result.clone() for result in results]
        for value, before in zip(changed, was, strict=True):
            value.copy_(before)
        for gradient in self._gradients:
            gradient.fill_(math.nan)
        try:
            with torch.inference_mode():
                found = [*tree_leaves(line(*tensors)), *(result.clone() for result in results)]
        except (RuntimeError, TypeError) as error:
            return f"repeated, it fails: {str(error).strip().partition(chr(10))[0]}"
        finally:
            for result, value in zip(results, wanted, strict=True):
                result.copy_(value)
        pairs = zip(found, [*tree_leaves(report), *wanted], strict=True)
        alike = [a is b or torch.allclose(a, b, equal_nan=True) for a, b in pairs]
        return None if all(alike) else "repeated, it gives other numbers"

    def _stop(self, problem: str) -> None:
        self._problem = problem
        warnings.warn(
            f"algo.compile='trace': {self._name} cannot be traced here ({problem}); it learns "
            "without",
            RuntimeWarning,
            stacklevel=5,
        )


def _structure(tree: Any, tensors: list[Tensor]) -> Hashable:
    """All of ``tree`` but the numbers in its tensors, which are appended to ``tensors``."""
    if isinstance(tree, Tensor):
        tensors.append(tree)
        return tree.shape, tree.stride(), tree.dtype
    if isinstance(tree, tuple | list):
        return type(tree), *[_structure(part, tensors) for part in tree]
    if isinstance(tree, dict):
        return tuple(tree), *[_structure(part, tensors) for part in tree.values()]
    return type(tree), tree
