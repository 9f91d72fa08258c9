"""Soft Actor-Critic with a learned temperature (Haarnoja et al. 2018, arXiv:1812.05905).

Differs from the paper: the temperature's logarithm is learned, with the loss that is linear in it,
as all implementations do; probabilities are those of actions in units of their bounds.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor, nn

from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.data import NoState
from rlpyt.models.policy import PolicyKind
from rlpyt.replays.batches import ReplaySamples
from rlpyt.utils.errors import RlpytError

__all__ = ["SAC", "SacInfo", "sac_policy_loss", "sac_value", "temperature_loss"]


class SacInfo(NamedTuple):
    """What is logged of a step of the policy: scalars, without gradient."""

    piLoss: Tensor
    entropy: Tensor  # -E[log π(a|s)]
    alpha: Tensor  # α before its step


def sac_value(q: Tensor, log_prob: Tensor, alpha: Tensor) -> Tensor:
    """V(s) = min_i Q_i(s, a) - α log π(a|s) for an action of the policy, eq. 3, [N].

    Args:
        q: Q_i(s, a), [n, N].
        log_prob: log π(a|s), [N].
        alpha: α, a scalar.
    """
    return q.amin(0) - alpha * log_prob


def sac_policy_loss(q: Tensor, log_prob: Tensor, alpha: Tensor) -> Tensor:
    """L = E[α log π(a|s) - min_i Q_i(s, a)], eq. 7; arguments as of :func:`sac_value`, with
    gradient through the action.
    """
    return -sac_value(q, log_prob, alpha).mean()


def temperature_loss(log_alpha: Tensor, entropy: Tensor, target_entropy: float) -> Tensor:
    """L = log α (E[-log π] - H̄), after eq. 18: α falls while ``entropy`` is above H̄."""
    return log_alpha * (entropy - target_entropy)


@final
class _Temperature(nn.Module):
    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))


@final
@dataclass(kw_only=True)
class SAC(QpgAlgorithm):
    """Twin critics, and a Gaussian policy that climbs the smaller one and stays random."""

    policy: ClassVar[PolicyKind] = "gaussian"

    alpha: float = 1.0  # the temperature at the start
    learn_alpha: bool = True  # False: it stays
    alpha_learning_rate: float | None = None  # None: learning_rate
    target_entropy: float | None = None  # H̄; None: -dim(a)

    def prepare(self) -> dict[str, Any]:
        """The temperature."""
        if self.alpha <= 0.0:
            raise RlpytError("config", f"algo.alpha={self.alpha}", hint="use more than 0")
        self._temperature = _Temperature(self.alpha).to(self.agent.device)
        self._alpha_step = self.gradient_step(self._temperature, self._alpha_loss)
        return {"temperature": self._temperature, "alpha_gradient": self._alpha_step}

    def _alpha(self) -> Tensor:
        return self._temperature.log_alpha.detach().exp()

    def target_value(self, batch: ReplaySamples, noise: Tensor) -> Tensor:
        """As :func:`sac_value`, by the target critics, [N]."""
        inputs = batch.next_inputs
        action, log_prob = self.agent.sample(inputs, NoState(), noise)
        return sac_value(self.target_q(inputs, action), log_prob, self._alpha())

    def policy_loss(self, batch: ReplaySamples, noise: Tensor) -> tuple[Tensor, SacInfo]:
        """As :func:`sac_policy_loss`."""
        action, log_prob = self.agent.sample(batch.agent_inputs, NoState(), noise)
        alpha = self._alpha()
        loss = sac_policy_loss(self.q(batch, action), log_prob, alpha)
        return loss, SacInfo(loss.detach(), -log_prob.detach().mean(), alpha)

    def follow(self, report: SacInfo) -> None:
        """One step of the temperature, by the entropy that the policy had."""
        if self.learn_alpha:
            rate = self.alpha_learning_rate
            self._alpha_step.step(self.learning_rate if rate is None else rate, report.entropy)

    def _alpha_loss(self, entropy: Tensor) -> tuple[Tensor, tuple[()]]:
        dim = float(self.agent.action_size)
        target = -dim if self.target_entropy is None else self.target_entropy
        return temperature_loss(self._temperature.log_alpha, entropy, target), ()
