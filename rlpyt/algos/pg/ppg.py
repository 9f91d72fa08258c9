"""Phasic Policy Gradient, PPG (Cobbe et al. 2020, arXiv:2009.04416).

For N_π iterations PPO trains a policy's network and a value's that share nothing. Then, in the
auxiliary phase, the policy's network learns the value of all those observations too, by a head of
its own, while a KL divergence keeps the policy where it was.

Differs from the paper: gradients are clipped, truncated episodes bootstrap from their true final
observation. The auxiliary phase has, as in the authors' release, an optimizer of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.algos.flat import flatten
from rlpyt.algos.opt_info import step_info
from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.pg.batch import LossInputs, policy_gradient_agent
from rlpyt.algos.pg.epochs import EpochsAlgorithm, Learning, Step, decoupled_model
from rlpyt.algos.pg.phase import Phase, PhaseSteps
from rlpyt.algos.pg.ppo import PpoLoss, evaluated_ppo_loss
from rlpyt.data import AgentInputs, BatchSpec, NoState, OptInfo
from rlpyt.ops.losses import valid_mean

__all__ = ["PPG", "AuxiliaryLoss", "auxiliary_loss"]


class AuxiliaryLoss(NamedTuple):
    """The auxiliary phase's loss and its parts, scalars."""

    auxiliaryLoss: Tensor
    auxiliaryHeadLoss: Tensor
    auxiliaryValueLoss: Tensor
    cloneKl: Tensor


def auxiliary_loss(
    return_: Tensor,
    head: Tensor,
    value: Tensor,
    kl: Tensor,
    valid: Tensor | None = None,
    *,
    clone_coeff: float,
) -> AuxiliaryLoss:
    """L_joint and L_value of the auxiliary phase, which share no parameter, as one loss.

        L = E[½ (V_θπ(s) - V̂)²] + β E[KL(π_old(·|s) || π(·|s))] + E[½ (V_θV(s) - V̂)²]

    Args:
        return_: V̂, [...], as all the others.
        head: V_θπ, of the policy's network.
        value: V_θV, of the value's network.
        kl: KL(π_old || π), of the policy before the auxiliary phase to the present one.
        valid: Which entries count, bool; None: all.
        clone_coeff: β.
    """
    head_loss = 0.5 * valid_mean(torch.square(head - return_), valid)
    value_loss = 0.5 * valid_mean(torch.square(value - return_), valid)
    mean_kl = valid_mean(kl, valid)
    loss = head_loss + clone_coeff * mean_kl + value_loss
    return AuxiliaryLoss(loss, head_loss, value_loss, mean_kl)


@final
@dataclass(kw_only=True)
class PPG(EpochsAlgorithm):
    """PPG for every action space, feed-forward.

    Its agent is ``PgAgent(ModelCls=DecoupledPgModel, model_kwargs={"auxiliary": "value"})``. The
    observations of a phase are kept on the CPU, and are part of a checkpoint.
    """

    value_loss_coeff: float = 0.5  # c₁, of ½ (R - V)²
    policy_iterations: int = 32  # N_π, of a phase
    auxiliary_epochs: int = 6  # E_aux, over all batches of a phase
    auxiliary_minibatches: int = 16  # per epoch, for each batch of the phase
    clone_coeff: float = 1.0  # β_clone

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Of the auxiliary phase."""
        counts = ("policy_iterations", "auxiliary_epochs", "auxiliary_minibatches")
        coeffs = dict.fromkeys(("value_loss_coeff", "clone_coeff"), (0.0, math.inf))
        return {**dict.fromkeys(counts, (1, math.inf)), **coeffs}

    def forecast(self, agent: Agent, batch_spec: BatchSpec) -> int:
        """Bytes of a phase's observations."""
        space = policy_gradient_agent(agent).env_spaces.observation
        return Phase.forecast(space, batch_spec, self.policy_iterations)

    def build(self, seed: int) -> dict[str, GradientStep]:
        """A step of the policy phase and one of the auxiliary phase, each with moments of its own,
        on the same parameters.
        """
        self._model = model = decoupled_model(self, self.agent.model, "value")
        self._phase = Phase(self.policy_iterations)
        flat = flatten(model)
        return {
            "policy": self.step_of(model, self._policy_loss, flat),
            "auxiliary": self.step_of(model, self._auxiliary_loss, flat),
        }

    def updates_per_itr(self) -> int:
        """Gradient steps in one ``optimize_agent``, but for those of auxiliary phases."""
        return self.epochs * self.minibatches

    def samples_per_itr(self) -> int:
        """Samples consumed by these."""
        return self.epochs * self.batch_spec.size

    def learn(self, itr: int, learning: Learning) -> OptInfo:
        """PPO's epochs; at the end of a phase, the auxiliary ones."""
        opt_info = step_info(self.run_epochs("policy", self.epochs, learning), "gradNorm")
        self._phase.append(learning.batch)
        if self._phase.is_full:
            steps = self._auxiliary_phase(learning.learning_rate)
            opt_info |= step_info(steps, "auxiliaryGradNorm")
            self._phase.clear()
        return opt_info

    def _auxiliary_phase(self, learning_rate: float) -> list[Step]:
        device, rng = self.agent.device, self.shuffle.rng
        count = min(self.auxiliary_minibatches, self.batch_spec.size)
        size = self.batch_spec.size // count
        old_dist_info = self._phase.each(self._policy, size, device)
        steps = []
        for _epoch in range(self.auxiliary_epochs):
            for part in self._phase.minibatches(count, rng, device, old_dist_info):
                share = self.world.share(part.valid)
                step = self.gradients["auxiliary"].step(learning_rate, part, share=share)
                steps.append(step)
        return steps

    @torch.no_grad()
    def _policy(self, observation: Any) -> Any:
        return self.agent.dist_info(self._model.policy_params(observation), observation)

    def _policy_loss(
        self, batch: LossInputs, state: Any, ratio_clip: Tensor, augmented: None
    ) -> tuple[Tensor, PpoLoss]:
        parts, _found = evaluated_ppo_loss(self, self.agent, batch, state, ratio_clip)
        return parts.loss, parts

    def _auxiliary_loss(self, steps: PhaseSteps) -> tuple[Tensor, AuxiliaryLoss]:
        params, head = self._model.policy_and_auxiliary(steps.observation)
        dist_info = self.agent.dist_info(params, steps.observation)
        none: Any = None
        inputs = AgentInputs(steps.observation, none, none, none)
        parts = auxiliary_loss(
            steps.return_,
            head,
            self.agent.value(inputs, NoState()),
            self.agent.distribution.kl(steps.old_dist_info, dist_info),
            steps.valid,
            clone_coeff=self.clone_coeff,
        )
        return parts.auxiliaryLoss, parts

    def own_state(self) -> Any:
        """The batches of the phase so far."""
        return self._phase.state_dict()

    def load_own_state(self, state: Any) -> None:
        """Take what :meth:`own_state` gave."""
        self._phase.load_state_dict(state)
