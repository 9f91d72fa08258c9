"""Deep Q-Network (Mnih et al. 2015, doi:10.1038/nature14236), with the parts that go with it.

As arguments: Double DQN (van Hasselt et al. 2016, arXiv:1509.06461) by ``double``; prioritised
replay (Schaul et al. 2016, arXiv:1511.05952) and n-step returns by ``replay``; dueling (Wang et al.
2016, arXiv:1511.06581) and noisy networks (Fortunato et al. 2018, arXiv:1706.10295) by the agent's
``model_kwargs``.

Differs from the paper: a truncated episode bootstraps from its true final observation; Adam, with
the settings of Dopamine (Castro et al. 2018, arXiv:1812.06110), instead of RMSProp.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from torch import Tensor

from rlpyt.algos.dqn.base import QAlgorithm
from rlpyt.algos.q_losses import QLosses
from rlpyt.models.dqn import QHead
from rlpyt.ops.q_learning import at_action, huber
from rlpyt.replays.batches import ReplaySamples

__all__ = ["DQN", "dqn_losses"]


def dqn_losses(q: Tensor, action: Tensor, target: Tensor, *, delta_clip: float | None) -> QLosses:
    """The loss of each transition, [N].

        L = ℓ_δ(y - Q(s, a)),   y = R + γᵏ Q⁻(s', a*)

    ℓ_δ is the Huber loss, whose gradient is the error clipped to ±δ; without δ it is ½ x². The
    priority is |y - Q|, up to δ.

    Args:
        q: Q(s, ·), [N, A].
        action: a, [N] int64.
        target: y, [N], without gradient.
        delta_clip: δ.
    """
    value = at_action(q, action)
    error = target - value
    priority = error.detach().abs()
    if delta_clip is not None:
        priority = priority.clamp(max=delta_clip)
    return QLosses(huber(error, delta_clip), priority, value.detach())


@final
@dataclass(kw_only=True)
class DQN(QAlgorithm):
    """DQN, Double DQN, and with a prioritised replay or another model what the paper's successors
    add to it.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"delta_clip": (1e-12, float("inf"))}

    double: bool = False  # the online network chooses the next action, the target one values it
    delta_clip: float | None = 1.0  # δ; None: ½ x²

    @property
    def head(self) -> Sequence[QHead]:
        """Action values."""
        return ("q",)

    def draw(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def losses(self, batch: ReplaySamples, noise: None) -> QLosses:
        """As :func:`dqn_losses`."""
        following = self.target_outputs(batch.next_inputs)
        action = self.next_action(batch.next_inputs, following, double=self.double)
        next_value = at_action(following.values, action)
        target = batch.return_ + batch.next_discount * next_value
        q = self.outputs(batch.agent_inputs).values
        return dqn_losses(q, batch.action, target, delta_clip=self.delta_clip)
