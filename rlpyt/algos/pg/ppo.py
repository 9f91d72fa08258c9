"""Proximal Policy Optimization, clipped (Schulman et al. 2017, arXiv:1707.06347).

Differs from the paper, as practice does (Huang et al. 2022, "The 37 implementation details of
PPO"): advantages are normalised, gradients clipped, the learning rate may fall to zero; the value
may be clipped and updates stopped at a target KL. Truncated episodes bootstrap from their true
final observation.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, final

import torch
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.agents.pg import PgAgent, PgEvaluation
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.minibatch import Shuffle, channels_last_images
from rlpyt.algos.opt_info import opt_info
from rlpyt.algos.optimizer import Compile, Precision, gradient_step
from rlpyt.algos.pg.batch import (
    POLICY_GRADIENT_RANGES,
    LossInputs,
    intrinsic_value_loss,
    log_ratio,
    loss_inputs,
    normalized,
    policy_gradient_agent,
)
from rlpyt.algos.pg.rewards import LearnedRewards
from rlpyt.algos.schedule import Schedule, scheduled
from rlpyt.data import BatchSpec, OptInfo, Samples
from rlpyt.ops.losses import valid_mean
from rlpyt.utils.world import World

__all__ = [
    "PPO",
    "PpoLoss",
    "PpoSettings",
    "SurrogateAlgorithm",
    "evaluated_ppo_loss",
    "ppo_loss",
    "squared_value_error",
]


class PpoLoss(NamedTuple):
    """The loss and its parts, scalars."""

    loss: Tensor
    piLoss: Tensor
    valueLoss: Tensor
    entropy: Tensor
    perplexity: Tensor
    approxKl: Tensor
    clipFraction: Tensor


def ppo_loss(
    batch: LossInputs,
    log_prob: Tensor,
    value: Tensor,
    entropy: Tensor,
    *,
    ratio_clip: Tensor,
    value_clip: float | None,
    value_loss_coeff: float,
    entropy_loss_coeff: float,
) -> PpoLoss:
    """Clipped surrogate, eq. 7 and 9, as a loss to minimise.

        L = -E[min(r A, clip(r, 1-ε, 1+ε) A)] + c₁ E[½ (R - V)²] - c₂ E[H(π)]

    where r = π(a|s) / π_old(a|s).
    With ``value_clip`` δ the value term is E[½ max((R - V)², (R - V_old - clip(V - V_old, ±δ))²)].
    ``approxKl`` is the estimator E[(r - 1) - log r].

    Args:
        batch: what was sampled; means are over its ``valid`` entries.
        log_prob: log π(a|s), [T, B] or [N], as the two below.
        value: V(s).
        entropy: H(π(·|s)).
        ratio_clip: ε, a scalar tensor.
        value_clip: δ, or None.
        value_loss_coeff: c₁.
        entropy_loss_coeff: c₂.
    """
    log_r = log_ratio(log_prob, batch.old_log_prob, batch.valid)
    ratio = torch.exp(log_r)
    clipped = ratio.clamp(1.0 - ratio_clip, 1.0 + ratio_clip)
    surrogate = torch.minimum(ratio * batch.advantage, clipped * batch.advantage)
    pi_loss = -valid_mean(surrogate, batch.valid)

    error = squared_value_error(batch, value, value_clip)
    value_loss = value_loss_coeff * 0.5 * valid_mean(error, batch.valid)

    mean_entropy = valid_mean(entropy, batch.valid)
    loss = pi_loss + value_loss - entropy_loss_coeff * mean_entropy
    with torch.no_grad():
        approx_kl = valid_mean(ratio - 1.0 - log_r, batch.valid)
        outside = torch.abs(ratio - 1.0) > ratio_clip
        clip_fraction = valid_mean(outside.to(ratio.dtype), batch.valid)
        perplexity = torch.exp(mean_entropy)
    return PpoLoss(loss, pi_loss, value_loss, mean_entropy, perplexity, approx_kl, clip_fraction)


def squared_value_error(batch: LossInputs, value: Tensor, value_clip: float | None) -> Tensor:
    """(R - V)², shaped as ``value`` V; with ``value_clip`` δ the greater of it and
    (R - V_old - clip(V - V_old, ±δ))².
    """
    error = torch.square(batch.return_ - value)
    if value_clip is None:
        return error
    near = batch.old_value + torch.clamp(value - batch.old_value, -value_clip, value_clip)
    return torch.maximum(error, torch.square(batch.return_ - near))


class PpoSettings(Protocol):
    """The fields of an algorithm that :func:`evaluated_ppo_loss` reads."""

    value_clip: float | None
    value_loss_coeff: float
    entropy_loss_coeff: float


def evaluated_ppo_loss(
    settings: PpoSettings, agent: PgAgent, batch: LossInputs, state: Any, ratio_clip: Tensor
) -> tuple[PpoLoss, PgEvaluation]:
    """:func:`ppo_loss` of the policy and the value that ``agent`` has now for ``batch``, from the
    recurrent ``state`` on; and these two.
    """
    found = agent.evaluate(batch.agent_inputs, state)
    parts = ppo_loss(
        batch,
        agent.distribution.log_prob(found.dist_info, batch.action),
        found.value,
        agent.distribution.entropy(found.dist_info),
        ratio_clip=ratio_clip,
        value_clip=settings.value_clip,
        value_loss_coeff=settings.value_loss_coeff,
        entropy_loss_coeff=settings.entropy_loss_coeff,
    )
    return parts, found


@dataclass(kw_only=True)
class SurrogateAlgorithm(RlAlgorithm, ABC):
    """Epochs of minibatch steps on the clipped surrogate, for advantages of any kind."""

    bootstrap_value: ClassVar[bool] = True
    two_values: ClassVar[bool] = False  # whether intrinsic returns may have a value of their own

    discount: float = 0.99  # γ
    learning_rate: float = 3e-4
    learning_rate_schedule: Schedule = "constant"
    epochs: int = 4  # passes over each batch
    minibatches: int = 4  # per epoch
    ratio_clip: float = 0.2  # ε, eq. 7
    ratio_clip_schedule: Schedule = "constant"
    value_clip: float | None = None  # δ; None: the value is not clipped
    value_loss_coeff: float = 1.0  # c₁, of ½ (R - V)²
    entropy_loss_coeff: float = 0.01  # c₂
    clip_grad_norm: float | None = 0.5
    normalize_advantage: Literal["minibatch", "batch", "none"] = "minibatch"
    target_kl: float | None = None  # stop the epochs when approxKl exceeds 1.5 times this
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
    def inputs(self, samples: Samples, reward: Tensor) -> tuple[LossInputs, Any]:
        """What the loss takes of the batch [T, B], and the recurrent state at its first step [B,
        ...]; ``reward`` [T, B] is the samples' or a normalised one.
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
        positive = dict.fromkeys(("ratio_clip", "value_clip", "target_kl"), (1e-12, math.inf))
        at_least_one = dict.fromkeys(("epochs", "minibatches"), (1, math.inf))
        self.check_settings({**POLICY_GRADIENT_RANGES, **positive, **at_least_one, **self.ranges})
        self._world = world or World()
        self.agent = agent = policy_gradient_agent(agent)
        self._n_itr = n_itr
        self._batch_spec = batch_spec
        self._shuffle = Shuffle(
            self.minibatches, batch_spec, sequences=agent.recurrent, seed=seed, world=self._world
        )
        self.rewards = LearnedRewards(self, agent, batch_spec, seed=seed, world=self._world)
        self._gradient = gradient_step(self, agent.model, self._loss, world=self._world)

    def updates_per_itr(self) -> int:
        """Gradient steps in one ``optimize_agent``."""
        return self.epochs * self.minibatches

    def samples_per_itr(self) -> int:
        """Samples consumed by one ``optimize_agent``."""
        return self.epochs * self._batch_spec.size

    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """``epochs`` passes of ``minibatches`` clipped-surrogate steps over one batch [T, B]."""
        learning_rate = scheduled(self.learning_rate, self.learning_rate_schedule, itr, self._n_itr)
        ratio_clip = scheduled(self.ratio_clip, self.ratio_clip_schedule, itr, self._n_itr)
        clip = torch.tensor(ratio_clip, device=self.agent.device)
        batch, state = self.inputs(samples, self.rewards(itr, samples))
        if not self.agent.recurrent:
            batch = batch._replace(agent_inputs=channels_last_images(batch.agent_inputs))
        if self.normalize_advantage == "batch":
            batch = normalized(batch, self._world)
        losses: list[PpoLoss] = []
        norms: list[Tensor] = []
        for _epoch in range(self.epochs):
            for minibatch, initial in self._shuffle.epoch(batch, state):
                if self.normalize_advantage == "minibatch" and self._world.size > 1:
                    minibatch = normalized(minibatch, self._world)  # else it is part of the graph
                loss, norm = self._gradient.step(
                    learning_rate,
                    minibatch,
                    initial,
                    clip,
                    share=self._world.share(minibatch.valid),
                )
                losses.append(loss)
                norms.append(norm)
            if self._is_far(losses[-1].approxKl):
                break
        self.agent.model.update_normalizer(samples.observation, samples.valid, self._world)
        return {**opt_info(losses, norms), **self.rewards.report()}

    def _is_far(self, approx_kl: Tensor) -> bool:
        """Whether the policy has gone too far from the one that acted, in all processes' mean."""
        if self.target_kl is None:
            return False
        return self._world.mean_(approx_kl.clone()).item() > 1.5 * self.target_kl

    def _loss(self, batch: LossInputs, state: Any, ratio_clip: Tensor) -> tuple[Tensor, PpoLoss]:
        if self.normalize_advantage == "minibatch" and self._world.size == 1:
            batch = normalized(batch, self._world)
        parts, found = evaluated_ppo_loss(self, self.agent, batch, state, ratio_clip)
        own = self.value_loss_coeff * intrinsic_value_loss(batch, found.intrinsic_value)
        return parts.loss + own, parts

    def state_dict(self) -> dict[str, Any]:
        """Optimizer, minibatch generator, reward statistics."""
        return {
            "gradient": self._gradient.state_dict(),
            "generator": self._shuffle.state_dict(),
            **self.rewards.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._gradient.load_state_dict(state["gradient"])
        self._shuffle.load_state_dict(state["generator"])
        self.rewards.load_state_dict(state)


@final
@dataclass(kw_only=True)
class PPO(SurrogateAlgorithm):
    """PPO for every action space, feed-forward or recurrent."""

    two_values: ClassVar[bool] = True

    gae_lambda: float = 0.95  # λ of GAE

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Of λ."""
        return {"gae_lambda": (0.0, 1.0)}

    def inputs(self, samples: Samples, reward: Tensor) -> tuple[LossInputs, Any]:
        """Advantages and returns."""
        batch, state = loss_inputs(self.agent, samples, reward, self.discount, self.gae_lambda)
        return self.rewards.joined(batch, samples, self.gae_lambda), state
