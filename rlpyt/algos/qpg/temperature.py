"""How much an entropy is worth: the temperature of soft actor-critics."""

import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from rlpyt.algos.optimizer import GradientStep
from rlpyt.utils.errors import RlpytError

__all__ = ["Temperature", "temperature_loss"]


def temperature_loss(log_alpha: Tensor, entropy: Tensor, target_entropy: float) -> Tensor:
    """L = log α (E[-log π] - H̄), after eq. 18 of Haarnoja et al. 2018 (arXiv:1812.05905): α falls
    while ``entropy`` is above H̄.
    """
    return log_alpha * (entropy - target_entropy)


@final
class _LogAlpha(nn.Module):
    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))


@final
@dataclass(kw_only=True)
class Temperature:
    """α of a policy that is to stay random: learned, so that the entropy is ``target_entropy``, or
    fixed.
    """

    initial: float = 1.0
    learn: bool = True  # False: it stays
    learning_rate: float | None = None  # None: the algorithm's
    target_entropy: float | None = None  # H̄; None: -dim(a), where Discrete 0.98 log A

    def initialize(
        self, OptimCls: type[torch.optim.Optimizer], target_entropy: float, device: torch.device
    ) -> None:
        """Start at ``initial``; ``target_entropy`` is what None stands for."""
        if not 0.0 < self.initial < math.inf:
            what = f"algo.temperature.initial={self.initial}"
            raise RlpytError("config", what, hint="use more than 0")
        chosen = self.target_entropy
        self._target = target_entropy if chosen is None else chosen
        self._module = _LogAlpha(self.initial).to(device)
        self._gradient = GradientStep(self._module, self._loss, OptimCls=OptimCls)

    @property
    def alpha(self) -> Tensor:
        """α, a scalar without gradient."""
        return self._module.log_alpha.detach().exp()

    def step(self, learning_rate: float, entropy: Tensor) -> None:
        """One step by the ``entropy`` (a scalar) that the policy has."""
        if self.learn:
            rate = self.learning_rate
            self._gradient.step(learning_rate if rate is None else rate, entropy)

    def _loss(self, entropy: Tensor) -> tuple[Tensor, tuple[()]]:
        return temperature_loss(self._module.log_alpha, entropy, self._target), ()

    def state_dict(self) -> dict[str, Any]:
        """α and its optimizer."""
        return {**self._module.state_dict(), "gradient": self._gradient.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._module.load_state_dict({"log_alpha": state["log_alpha"]})
        self._gradient.load_state_dict(state["gradient"])
