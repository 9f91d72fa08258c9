"""What an intrinsic reward counts for, as a function of the environment steps taken."""

import math
from dataclasses import dataclass
from typing import Literal, final, get_args

from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["RewardWeight"]

_Schedule = Literal["constant", "exponential", "linear"]


@final
@dataclass(frozen=True, kw_only=True)
class RewardWeight:
    """The factor β_n of the intrinsic reward after n environment steps of the whole run.

    =============  =================================
    schedule       β_n
    =============  =================================
    constant       β
    exponential    β (1 - κ)ⁿ
    linear         β max(0, 1 - n / ``n_steps``)
    =============  =================================

    Modules return their reward without it: ``reward + weight(n) * intrinsic`` is what is learned
    from.

    Raises:
        RlpytError: for an unknown schedule, or a number out of range.
    """

    beta: float = 1.0  # β
    schedule: _Schedule = "constant"
    kappa: float = 0.0  # κ, per environment step; "exponential" only
    n_steps: float = 0.0  # environment steps until zero; "linear" only

    def __post_init__(self) -> None:
        known = get_args(_Schedule)
        if self.schedule not in known:
            raise _error(f"schedule={self.schedule!r}", did_you_mean(self.schedule, known))
        if not 0 <= self.beta < math.inf:
            raise _error(f"beta={self.beta}", "use 0 or more, and a finite number")
        if not 0 <= self.kappa < 1:
            raise _error(f"kappa={self.kappa}", "use 0 or more, and less than 1")
        if self.schedule == "linear" and not 0 < self.n_steps < math.inf:
            raise _error(f"n_steps={self.n_steps}", "say after how many steps it is zero")
        if self.schedule == "exponential" and self.kappa == 0:
            raise _error(f"kappa={self.kappa}", "say by what share it falls in a step: 1e-5, say")
        for name, schedule in (("n_steps", "linear"), ("kappa", "exponential")):
            if getattr(self, name) != 0 and self.schedule != schedule:
                what = f"{name}={getattr(self, name)} with schedule={self.schedule!r}"
                raise _error(what, f"only schedule={schedule!r} has it")

    def __call__(self, steps: int) -> float:
        """β_n after n = ``steps``."""
        if self.schedule == "exponential":
            return float(self.beta * (1.0 - self.kappa) ** steps)
        if self.schedule == "linear":
            return self.beta * max(0.0, 1.0 - steps / self.n_steps)
        return self.beta


def _error(what: str, hint: str) -> RlpytError:
    return RlpytError("config", f"intrinsic reward: {what}", where="RewardWeight", hint=hint)
