"""Asynchronous PPO, APPO: PPO's clipped surrogate (Schulman et al. 2017, arXiv:1707.06347) on
V-trace (Espeholt et al. 2018, arXiv:1802.01561), as in RLlib (Liang et al. 2018, arXiv:1712.09381)
and Sample Factory (Petrenko et al. 2020, arXiv:2006.11751).

The policy is kept near the one that acted, however old that is, and V-trace corrects advantages and
value targets for the lag.

Differs from both: V-trace is computed once for each batch, by the parameters that are about to
learn from it, and stands for all epochs, as PPO's advantages do; there is no target network and no
penalty of KL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from rlpyt.algos.pg.batch import LossInputs
from rlpyt.algos.pg.ppo import SurrogateAlgorithm
from rlpyt.algos.pg.vtrace import Correction, vtrace_inputs
from rlpyt.data import Samples

__all__ = ["APPO"]


@final
@dataclass(kw_only=True)
class APPO(SurrogateAlgorithm):
    """APPO for every action space, feed-forward or recurrent.

    Samples of the parameters that learn give PPO's loss: advantages are then those of GAE(λ).
    """

    off_policy: ClassVar[bool] = True

    rho_clip: float = 1.0  # ρ̄: what the values converge to
    c_clip: float = 1.0  # c̄: how fast
    vtrace_lambda: float = 0.95  # λ, on-policy that of GAE

    @property
    def correction(self) -> Correction:
        """V-trace with these settings; the surrogate has the ratio itself."""
        return Correction(
            discount=self.discount,
            vtrace_lambda=self.vtrace_lambda,
            rho_clip=self.rho_clip,
            c_clip=self.c_clip,
        )

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Of V-trace."""
        return self.correction.ranges

    @torch.no_grad()
    def inputs(self, samples: Samples, reward: Tensor) -> tuple[LossInputs, Any]:
        """Advantages and value targets, by the present parameters."""
        batch, state = vtrace_inputs(self.agent, samples, reward)
        dist_info, value, _own = self.agent.evaluate(batch.agent_inputs, state)
        log_prob = self.agent.distribution.log_prob(dist_info, batch.action)
        return self.correction(batch, log_prob, value), state
