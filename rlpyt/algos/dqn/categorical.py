"""Categorical DQN, C51 (Bellemare et al. 2017, arXiv:1707.06887), and Rainbow (Hessel et al. 2018,
arXiv:1710.02298).

Rainbow is this loss with ``double``, a prioritised replay of n-step returns, and a dueling, noisy
model; its experiment puts them together. The range of returns is the agent's, ``value_range``.

Differs from the paper: a truncated episode bootstraps from its true final observation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from torch import Tensor

from rlpyt.algos.dqn.base import QAlgorithm
from rlpyt.algos.q_losses import QLosses
from rlpyt.models.dqn import QHead
from rlpyt.ops.categorical import (
    categorical_cross_entropy,
    categorical_kl,
    categorical_mean,
    categorical_target,
)
from rlpyt.ops.q_learning import at_action
from rlpyt.replays.batches import ReplaySamples

__all__ = ["CategoricalDQN", "categorical_losses"]


def categorical_losses(
    log_prob: Tensor, action: Tensor, target_prob: Tensor, support: Tensor
) -> QLosses:
    """The loss of each transition, [N]: the cross-entropy of the projected target.

        L = -Σ_i m_i log p_i(s, a),   m = Φ T̂ Z⁻(s', a*)     (Algorithm 1)

    The priority is KL(m ‖ p), as in Rainbow.

    Args:
        log_prob: log p(s, ·), [N, A, K].
        action: a, [N] int64.
        target_prob: m, [N, K], without gradient.
        support: z, [K].
    """
    chosen = at_action(log_prob, action)
    loss = categorical_cross_entropy(target_prob, chosen)
    value = categorical_mean(chosen.detach().exp(), support)
    return QLosses(loss, categorical_kl(target_prob, chosen), value)


@final
@dataclass(kw_only=True)
class CategoricalDQN(QAlgorithm):
    """C51: the distribution of returns on fixed values."""

    double: bool = False  # the online network chooses the next action

    @property
    def head(self) -> Sequence[QHead]:
        """Probabilities of fixed returns."""
        return ("categorical",)

    def draw(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def losses(self, batch: ReplaySamples, noise: None) -> QLosses:
        """As :func:`categorical_losses`."""
        support = self.agent.support
        assert support is not None  # the categorical head's
        following = self.target_outputs(batch.next_inputs)
        action = self.next_action(batch.next_inputs, following, double=self.double)
        next_prob = at_action(following.values, action).exp()
        target = categorical_target(batch.return_, batch.next_discount, next_prob, support)
        log_prob = self.outputs(batch.agent_inputs).values
        return categorical_losses(log_prob, batch.action, target, support)
