"""Quantile regression: QR-DQN (Dabney et al. 2018, arXiv:1710.10044) and Implicit Quantile Networks
(IQN; Dabney et al. 2018, arXiv:1806.06923).

Differs from the papers: a truncated episode bootstraps from its true final observation; IQN acts by
the mean at fixed, evenly spaced fractions instead of random ones, so that evaluation repeats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.algos.dqn.base import QAlgorithm
from rlpyt.algos.q_losses import QLosses
from rlpyt.models.dqn import QHead
from rlpyt.ops.q_learning import at_action
from rlpyt.ops.quantile import quantile_huber_loss, quantile_midpoints, quantile_target
from rlpyt.replays.batches import ReplaySamples

__all__ = ["IQN", "QRDQN", "quantile_losses"]


def quantile_losses(
    quantiles: Tensor, action: Tensor, fractions: Tensor, target: Tensor, *, kappa: float
) -> QLosses:
    """The loss of each transition, [N].

        L = Σ_i E_j[ρ^κ_τi(y_j - θ_i(s, a))],   y_j = R + γᵏ θ⁻_j(s', a*)

    (QR-DQN, eq. 10; IQN, eq. 3.)

    The priority is the error of the means, |E[y] - E[θ]|.

    Args:
        quantiles: θ(s, ·), [N, A, M].
        action: a, [N] int64.
        fractions: τ, [N, M] or [M].
        target: y, [N, M'], without gradient.
        kappa: κ of the Huber loss.
    """
    chosen = at_action(quantiles, action)
    loss = quantile_huber_loss(chosen, fractions, target, kappa)
    value = chosen.detach().mean(-1)
    return QLosses(loss, (target.mean(-1) - value).abs(), value)


@final
@dataclass(kw_only=True)
class QRDQN(QAlgorithm):
    """QR-DQN: returns at fixed fractions."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"kappa": (0.0, float("inf"))}

    double: bool = False  # the online network chooses the next action
    kappa: float = 1.0  # κ

    @property
    def head(self) -> Sequence[QHead]:
        """Quantiles at fixed fractions."""
        return ("quantile",)

    def draw(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def losses(self, batch: ReplaySamples, noise: None) -> QLosses:
        """As :func:`quantile_losses`."""
        following = self.target_outputs(batch.next_inputs)
        action = self.next_action(batch.next_inputs, following, double=self.double)
        next_quantiles = at_action(following.values, action)
        target = quantile_target(batch.return_, batch.next_discount, next_quantiles)
        quantiles = self.outputs(batch.agent_inputs).values
        n, dtype, device = quantiles.shape[-1], quantiles.dtype, quantiles.device
        fractions = quantile_midpoints(n, dtype, device)
        return quantile_losses(quantiles, batch.action, fractions, target, kappa=self.kappa)


class _Fractions(NamedTuple):
    """τ and τ', uniform in [0, 1)."""

    online: Tensor  # [N, M]
    target: Tensor  # [N, M']


@final
@dataclass(kw_only=True)
class IQN(QAlgorithm):
    """IQN: returns at any fractions, new ones for each gradient step."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "kappa": (0.0, float("inf")),
        "n_fractions": (1, float("inf")),
        "n_target_fractions": (1, float("inf")),
    }

    double: bool = False  # the online network chooses the next action
    kappa: float = 1.0  # κ
    n_fractions: int = 64  # N
    n_target_fractions: int = 64  # N'

    @property
    def head(self) -> Sequence[QHead]:
        """Quantiles at given fractions."""
        return ("implicit",)

    def draw(self, rng: np.random.Generator) -> _Fractions:
        """τ and τ' of one gradient step."""
        n = self.n_fractions
        shape = (self.batch_size, n + self.n_target_fractions)
        drawn = rng.random(shape, dtype=np.float32)
        fractions = torch.from_numpy(drawn).to(self.agent.device)
        return _Fractions(fractions[:, :n], fractions[:, n:])

    def losses(self, batch: ReplaySamples, noise: _Fractions) -> QLosses:
        """As :func:`quantile_losses`."""
        following = self.target_outputs(batch.next_inputs, noise.target)
        action = self.next_action(batch.next_inputs, following, double=self.double)
        next_quantiles = at_action(following.values, action)
        target = quantile_target(batch.return_, batch.next_discount, next_quantiles)
        quantiles = self.outputs(batch.agent_inputs, noise.online).values
        return quantile_losses(quantiles, batch.action, noise.online, target, kappa=self.kappa)
