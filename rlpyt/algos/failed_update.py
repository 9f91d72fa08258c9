"""An update whose gradient is not finite: what is to blame, and what it takes to do it again."""

from typing import Any, final

from torch import Tensor

from rlpyt.utils.errors import RlpytError
from rlpyt.utils.finite import NamedTensors, blame

__all__ = ["FailedUpdateError"]


@final
class FailedUpdateError(Exception):
    """The gradient step ``step`` of an algorithm, stopped before it changed a parameter, and what
    it was given: ``step.step(learning_rate, *inputs, share=share)``. ``number`` counts its updates
    in this process, from 1.
    """

    def __init__(
        self,
        step: Any,  # GradientStep
        learning_rate: float,
        inputs: tuple[Any, ...],
        share: Tensor | None,
        number: int,
    ) -> None:
        super().__init__(f"update {number}")
        self.step = step
        self.learning_rate = learning_rate
        self.inputs = inputs
        self.share = share
        self.number = number

    def error(
        self, norm: float, parameters: NamedTensors, gradients: NamedTensors, report: Any
    ) -> RlpytError:
        """As a user meets it, with this as its cause."""
        found = blame(parameters, gradients, self.inputs, report)
        told = RlpytError(
            "diverged",
            f"the gradient's norm is {norm}: {found}",
            where=f"update {self.number}",
            hint="lower algo.learning_rate or algo.clip_grad_norm, or look at the rewards' scale; "
            "the newest checkpoint is from before",
        )
        told.__cause__ = self
        return told
