"""How much an entropy is worth: the temperature of soft actor-critics."""

import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from rlpyt.algos.torch_optimizer import build_optimizer
from rlpyt.utils.errors import RlpytError

__all__ = ["Temperature"]


@final
@dataclass(kw_only=True)
class Temperature:
    """α of a policy that is to stay random: learned, so that the entropy is ``target_entropy``, or
    fixed.

        L = log α (E[-log π] - H̄)

    after eq. 18 of Haarnoja et al. 2018 (arXiv:1812.05905): α falls while the entropy is above H̄.
    """

    initial: float = 1.0
    learn: bool = True  # False: it stays
    learning_rate: float | None = None  # None: the algorithm's
    target_entropy: float | None = None  # H̄; None: -dim(a), where Discrete 0.98 log A

    def initialize(
        self, OptimCls: type[torch.optim.Optimizer], target_entropy: float, like: Tensor
    ) -> None:
        """Start at ``initial``, of the type and where ``like`` is; ``target_entropy`` is what None
        stands for.
        """
        if not 0.0 < self.initial < math.inf:
            what = f"algo.temperature.initial={self.initial}"
            raise RlpytError("config", what, hint="use more than 0")
        if self.learning_rate is not None and not 0.0 <= self.learning_rate < math.inf:
            what = f"algo.temperature.learning_rate={self.learning_rate}"
            raise RlpytError("config", what, hint="use 0 or more, or None for the algorithm's")
        chosen = self.target_entropy
        self._target = target_entropy if chosen is None else chosen
        self._log_alpha = like.new_tensor(math.log(self.initial))
        self._optimizer = build_optimizer(OptimCls, self._log_alpha, {})

    @property
    def alpha(self) -> Tensor:
        """α, a scalar without gradient."""
        return self._log_alpha.exp()

    def step(self, learning_rate: float, entropy: Tensor) -> None:
        """One step by the ``entropy`` (a scalar) that the policy has.

        Raises:
            RlpytError: ``diverged``, on a CPU, where the entropy is not finite; nothing is changed
                then. On an accelerator :meth:`check` finds it.
        """
        if not self.learn:
            return
        if entropy.device.type == "cpu" and not math.isfinite(entropy.item()):  # else it would wait
            raise _diverged(f"the policy's entropy is {entropy.item()}")
        rate = self.learning_rate
        self._optimizer.param_groups[0]["lr"] = learning_rate if rate is None else rate
        self._log_alpha.grad = entropy - self._target  # dL / d log α
        self._optimizer.step()

    def check(self) -> None:
        """Refuse to go on where log α is not finite any more; waits for an accelerator.

        Raises:
            RlpytError: ``diverged``.
        """
        log_alpha = self._log_alpha.item()
        if not math.isfinite(log_alpha):
            raise _diverged(f"its logarithm is {log_alpha}")

    def state_dict(self) -> dict[str, Any]:
        """The logarithm of α, and its optimizer."""
        return {"log_alpha": self._log_alpha, "optimizer": self._optimizer.state_dict()["state"]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._log_alpha.copy_(state["log_alpha"])
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})


def _diverged(found: str) -> RlpytError:
    return RlpytError(
        "diverged",
        f"the temperature cannot be learned: {found}",
        where="algo.temperature",
        hint="lower algo.learning_rate or algo.temperature.learning_rate, or look at the rewards' "
        "scale; the newest checkpoint is from before",
    )
