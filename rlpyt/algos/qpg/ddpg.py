"""Deep Deterministic Policy Gradient (Lillicrap et al. 2016, arXiv:1509.02971).

Differs from the paper: Gaussian instead of Ornstein-Uhlenbeck noise explores, there is no weight
decay, and both learning rates are the same.
"""

from abc import ABC
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

from torch import Tensor

from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.algos.target import update_target
from rlpyt.data import NoState
from rlpyt.models.policy import PolicyKind
from rlpyt.replays.batches import ReplaySamples

__all__ = ["DDPG", "DeterministicAlgorithm", "PolicyInfo", "deterministic_policy_loss"]


class PolicyInfo(NamedTuple):
    """What is logged of a step of the policy: a scalar, without gradient."""

    piLoss: Tensor


def deterministic_policy_loss(q: Tensor) -> Tensor:
    """L = -E[Q_1(s, μ(s))], whose gradient is that of eq. 6; ``q`` [n, N], of the actions μ(s)."""
    return -q[0].mean()


@dataclass(kw_only=True)
class DeterministicAlgorithm(QpgAlgorithm, ABC):
    """A deterministic policy that climbs the first critic, and a target network of it."""

    policy: ClassVar[PolicyKind] = "deterministic"

    def prepare(self) -> dict[str, Any]:
        """The target network of the policy."""
        self.target_model = deepcopy(self.agent.model).requires_grad_(False)
        return {"target_model": self.target_model}

    def policy_loss(self, batch: ReplaySamples, noise: Tensor) -> tuple[Tensor, PolicyInfo]:
        """As :func:`deterministic_policy_loss`."""
        action = self.agent.mean_action(batch.agent_inputs, NoState())
        loss = deterministic_policy_loss(self.q(batch, action))
        return loss, PolicyInfo(loss.detach())

    def follow(self, report: PolicyInfo) -> None:
        """The target network of the policy follows it."""
        update_target(self.target_model, self.agent.model, self.target_update_tau)


@final
@dataclass(kw_only=True)
class DDPG(DeterministicAlgorithm):
    """One critic, and a deterministic policy that climbs it."""

    n_critics: int = 1

    def target_value(self, batch: ReplaySamples, noise: Tensor) -> Tensor:
        """Q⁻(s', μ⁻(s')), [N]: below eq. 4."""
        inputs = batch.next_inputs
        action = self.agent.mean_action(inputs, NoState(), model=self.target_model)
        return self.target_q(inputs, action).amin(0)
