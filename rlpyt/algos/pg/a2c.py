"""Advantage Actor-Critic, synchronous (Mnih et al. 2016, arXiv:1602.01783).

Differs from the paper: environments step together instead of asynchronously, advantages are GAE(λ)
with λ = 1 as the n-step return of the paper, and truncated episodes bootstrap from their true final
observation.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.opt_info import opt_info
from rlpyt.algos.optimizer import Compile, Precision, gradient_step
from rlpyt.algos.pg.batch import (
    POLICY_GRADIENT_RANGES,
    LossInputs,
    intrinsic_value_loss,
    loss_inputs,
    normalized,
    policy_gradient_agent,
)
from rlpyt.algos.pg.rewards import LearnedRewards
from rlpyt.algos.schedule import Schedule, scheduled
from rlpyt.data import BatchSpec, OptInfo, Samples
from rlpyt.ops.losses import valid_mean
from rlpyt.utils.world import World

__all__ = ["A2C", "A2cLoss", "OneStepAlgorithm", "a2c_loss"]


class A2cLoss(NamedTuple):
    """The loss and its parts, scalars."""

    loss: Tensor
    piLoss: Tensor
    valueLoss: Tensor
    entropy: Tensor
    perplexity: Tensor


def a2c_loss(
    batch: LossInputs,
    log_prob: Tensor,
    value: Tensor,
    entropy: Tensor,
    *,
    value_loss_coeff: float,
    entropy_loss_coeff: float,
) -> A2cLoss:
    """The policy gradient with a learned baseline, as a loss to minimise.

        L = -E[A log π(a|s)] + c₁ E[½ (R - V)²] - c₂ E[H(π)]

    Args:
        batch: what was sampled; means are over its ``valid`` entries.
        log_prob: log π(a|s), [T, B] or [N], as the two below.
        value: V(s).
        entropy: H(π(·|s)).
        value_loss_coeff: c₁.
        entropy_loss_coeff: c₂.
    """
    pi_loss = -valid_mean(batch.advantage * log_prob, batch.valid)
    error = torch.square(batch.return_ - value)
    value_loss = value_loss_coeff * 0.5 * valid_mean(error, batch.valid)
    mean_entropy = valid_mean(entropy, batch.valid)
    loss = pi_loss + value_loss - entropy_loss_coeff * mean_entropy
    with torch.no_grad():
        perplexity = torch.exp(mean_entropy)
    return A2cLoss(loss, pi_loss, value_loss, mean_entropy, perplexity)


@dataclass(kw_only=True)
class OneStepAlgorithm(RlAlgorithm, ABC):
    """One gradient step on each batch, of a policy and a value."""

    bootstrap_value: ClassVar[bool] = True
    two_values: ClassVar[bool] = False  # whether intrinsic returns may have a value of their own

    discount: float = 0.99  # γ
    learning_rate: float = 7e-4
    learning_rate_schedule: Schedule = "constant"
    value_loss_coeff: float = 1.0  # c₁, of ½ (R - V)²
    entropy_loss_coeff: float = 0.01  # c₂
    clip_grad_norm: float | None = 0.5
    normalize_reward: bool = False  # by the running deviation of the discounted return
    reward_clip: float = 10.0  # after normalisation
    OptimCls: type[torch.optim.Optimizer] = torch.optim.Adam
    optim_kwargs: dict[str, Any] = field(default_factory=lambda: {"eps": 1e-5})
    intrinsic: IntrinsicRewards | None = None  # added to the environment's
    compile: Compile = False  # forward and backward as one graph; True needs a C++ compiler on CPU
    precision: Precision = "float32"  # of products and convolutions in the loss

    @property
    @abstractmethod
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """What the settings that the algorithm adds may be, ends included."""

    @abstractmethod
    def inputs(self, samples: Samples, reward: Tensor) -> tuple[Any, Any]:
        """What the loss takes of the batch [T, B], and the recurrent state at its first step [B,
        ...]; ``reward`` [T, B] is the samples' or a normalised one.
        """

    @abstractmethod
    def loss(self, batch: Any, log_prob: Tensor, value: Tensor, entropy: Tensor) -> NamedTuple:
        """The paper's loss, a scalar, and what else is reported; log π(a|s), V(s) and H(π(·|s)) [T,
        B] are the present parameters'.
        """

    def initialize(
        self,
        agent: Agent,
        *,
        n_itr: int,
        batch_spec: BatchSpec,
        seed: int,
        world: World | None = None,
    ) -> None:
        """Bind the agent; build the optimizer."""
        self.check_settings({**POLICY_GRADIENT_RANGES, **self.ranges})
        self.world = world or World()
        self.agent = policy_gradient_agent(agent)
        self._n_itr = n_itr
        self._batch_spec = batch_spec
        self.rewards = LearnedRewards(self, self.agent, batch_spec, seed=seed, world=self.world)
        self._gradient = gradient_step(self, self.agent.model, self._loss, world=self.world)

    def updates_per_itr(self) -> int:
        """One gradient step."""
        return 1

    def samples_per_itr(self) -> int:
        """Every sample once."""
        return self._batch_spec.size

    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """One gradient step on the batch [T, B]."""
        learning_rate = scheduled(self.learning_rate, self.learning_rate_schedule, itr, self._n_itr)
        batch, state = self.inputs(samples, self.rewards(itr, samples))
        share = self.world.share(batch.valid)
        loss, norm = self._gradient.step(learning_rate, batch, state, share=share)
        self.agent.model.update_normalizer(samples.observation, samples.valid, self.world)
        return {**opt_info([loss], [norm]), **self.rewards.report()}

    def _loss(self, batch: Any, state: Any) -> tuple[Tensor, NamedTuple]:
        dist_info, value, intrinsic = self.agent.evaluate(batch.agent_inputs, state)
        log_prob = self.agent.distribution.log_prob(dist_info, batch.action)
        parts = self.loss(batch, log_prob, value, self.agent.distribution.entropy(dist_info))
        own = self.value_loss_coeff * intrinsic_value_loss(batch, intrinsic)
        return parts[0] + own, parts

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and reward statistics."""
        return {
            "gradient": self._gradient.state_dict(),
            **self.rewards.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._gradient.load_state_dict(state["gradient"])
        self.rewards.load_state_dict(state)


@final
@dataclass(kw_only=True)
class A2C(OneStepAlgorithm):
    """A2C for every action space, feed-forward or recurrent."""

    two_values: ClassVar[bool] = True

    gae_lambda: float = 1.0  # λ of GAE; 1: the n-step return
    normalize_advantage: bool = False

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Of λ."""
        return {"gae_lambda": (0.0, 1.0)}

    def inputs(self, samples: Samples, reward: Tensor) -> tuple[LossInputs, Any]:
        """Advantages and returns."""
        batch, state = loss_inputs(self.agent, samples, reward, self.discount, self.gae_lambda)
        batch = self.rewards.joined(batch, samples, self.gae_lambda)
        return normalized(batch, self.world) if self.normalize_advantage else batch, state

    def loss(self, batch: LossInputs, log_prob: Tensor, value: Tensor, entropy: Tensor) -> A2cLoss:
        """As :func:`a2c_loss`."""
        return a2c_loss(
            batch,
            log_prob,
            value,
            entropy,
            value_loss_coeff=self.value_loss_coeff,
            entropy_loss_coeff=self.entropy_loss_coeff,
        )
