"""CrossQ: batch normalisation in place of target networks (Bhatt et al. 2024, arXiv:1902.05605)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.algos.q_losses import QLosses
from rlpyt.algos.qpg.actor_critic import TargetNetwork
from rlpyt.algos.qpg.base import QpgAlgorithm, StepOf
from rlpyt.algos.qpg.batch import QpgBatch
from rlpyt.algos.qpg.losses import PolicyLosses, td_losses
from rlpyt.algos.qpg.sac import soft_policy_losses, soft_value
from rlpyt.algos.qpg.temperature import Temperature
from rlpyt.models.policy import PolicyKind

__all__ = ["CrossQ"]


@final
@dataclass(kw_only=True)
class CrossQ(QpgAlgorithm):
    """SAC without target networks: wide critics see both sides of the Bellman equation in one
    batch, and normalise it as one. For policies alike, ``agent.model_kwargs.batch_renorm=True``.
    """

    policy: ClassVar[PolicyKind] = "gaussian"
    target_networks: ClassVar[tuple[TargetNetwork, ...]] = ()
    batch_renorm: ClassVar[bool] = True
    critic_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_renorm": True,
        "hidden_sizes": (2048, 2048),
    }

    learning_rate: float = 1e-3
    policy_delay: int = 3
    optim_kwargs: dict[str, Any] = field(default_factory=lambda: {"betas": (0.5, 0.999)})
    temperature: Temperature = field(default_factory=Temperature)  # α

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], step: StepOf) -> Tensor:
        """Noise of the actions."""
        return self.normal(rng, shape)

    def critic_losses(self, batch: QpgBatch, noise: Tensor) -> QLosses:
        """Towards y = R + γᵏ (min_i Q_i(s', a') - α log π(a'|s')), without gradient: section 4,
        with Q of [s; s'] and [a; a'] computed at once.
        """
        with torch.no_grad():
            action, log_prob = self.online.sample(batch.following, noise)
        q, next_q = self.online.joint_q(batch, action)
        value = soft_value(next_q.detach().amin(0), log_prob, self.temperature.alpha)
        return td_losses(q, batch.target(value))

    def policy_losses(self, batch: QpgBatch, noise: Tensor) -> PolicyLosses:
        """As :func:`rlpyt.algos.qpg.sac.soft_policy_losses`, of the smaller critic; the policy
        normalises by the batch, the critics by what they have seen.
        """
        action, log_prob = self.online.sample(batch.now, noise, train=True)
        q = self.online.q(batch.now, action).amin(0)
        return soft_policy_losses(q, log_prob, self.temperature.alpha)
