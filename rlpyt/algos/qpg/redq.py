"""Randomized Ensembled Double Q-learning (Chen et al. 2021, arXiv:2101.05982)."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, final

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
from rlpyt.utils.errors import RlpytError

__all__ = ["REDQ"]


class _Draw(NamedTuple):
    noise: Tensor
    subset: Tensor  # int64 [M]: different critics


@final
@dataclass(kw_only=True)
class REDQ(QpgAlgorithm):
    """SAC with many critics, of which a few, chosen anew each time, make the target; they take many
    steps for one of the policy, which climbs their mean.
    """

    policy: ClassVar[PolicyKind] = "gaussian"
    target_networks: ClassVar[tuple[TargetNetwork, ...]] = ("critic",)

    replay_ratio: float = 20 * 256.0  # G = 20 steps for each of the environment
    policy_delay: int = 20  # G
    n_critics: int = 10  # N
    n_target_critics: int = 2  # M
    temperature: Temperature = field(default_factory=Temperature)  # α

    def __post_init__(self) -> None:
        if not 1 <= self.n_target_critics <= self.n_critics:
            what = f"algo.n_target_critics={self.n_target_critics}"
            hint = f"use 1 to {self.n_critics}, that is algo.n_critics"
            raise RlpytError("config", what, hint=hint)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], step: StepOf) -> Any:
        """Noise of the actions, and which critics make the target."""
        noise = self.normal(rng, shape)
        if step == "policy":
            return noise
        chosen = rng.permutation(self.n_critics)[: self.n_target_critics]
        return _Draw(noise, torch.from_numpy(chosen).to(self.agent.device))

    def critic_losses(self, batch: QpgBatch, noise: _Draw) -> QLosses:
        """Towards y = R + γᵏ (min_{i in M} Q⁻_i(s', a') - α log π(a'|s')): algorithm 1, line 7."""
        with torch.no_grad():
            action, log_prob = self.online.sample(batch.following, noise.noise)
            q = self.target.q(batch.following, action)[noise.subset].amin(0)
            value = soft_value(q, log_prob, self.temperature.alpha)
        return td_losses(self.online.q(batch.now, batch.action), batch.target(value))

    def policy_losses(self, batch: QpgBatch, noise: Tensor) -> PolicyLosses:
        """As :func:`rlpyt.algos.qpg.sac.soft_policy_losses`, of the critics' mean: line 10."""
        action, log_prob = self.online.sample(batch.now, noise)
        q = self.online.q(batch.now, action).mean(0)
        return soft_policy_losses(q, log_prob, self.temperature.alpha)
