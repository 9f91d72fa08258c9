"""Parallel Q-Network (Gallici et al. 2024, "Simplifying Deep Temporal Difference Learning",
arXiv:2407.04811): Q-learning without replay and without target network.

Many environments step together, targets are Q(λ) returns of the batch just collected, and layer
normalisation keeps learning stable: set the agent's ``model_kwargs.layer_norm``.

Differs from the paper: a truncated episode bootstraps from its true final observation; targets of a
recurrent model are computed once for each batch, as those of any other.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.dqn.base import QInfo, q_agent
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.minibatch import Shuffle
from rlpyt.algos.opt_info import opt_info
from rlpyt.algos.optimizer import Compile, Precision, gradient_step
from rlpyt.algos.schedule import Schedule, scheduled
from rlpyt.data import AgentInputs, BatchSpec, NoState, OptInfo, Samples
from rlpyt.ops.losses import valid_mean
from rlpyt.ops.off_policy import q_lambda_return
from rlpyt.ops.q_learning import at_action
from rlpyt.ops.returns import next_values
from rlpyt.utils.buffer import buffer_to
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.world import World

__all__ = ["PQN", "pqn_loss"]


class _Batch(NamedArrayTuple):
    """What the loss is computed from: [T, B, ...] or a minibatch of it."""

    agent_inputs: AgentInputs
    action: Tensor
    return_: Tensor
    valid: Tensor | None = None


def pqn_loss(q: Tensor, action: Tensor, return_: Tensor, valid: Tensor | None = None) -> QInfo:
    """L = E[½ (G - Q(s, a))²], G the Q(λ) return (eq. 16; algorithm 1).

    Args:
        q: Q(s, ·), [..., A].
        action: a, [...] int64.
        return_: G, [...], without gradient.
        valid: bool [...]; None: all are.
    """
    value = at_action(q, action)
    error = return_ - value
    return QInfo(
        loss=valid_mean(0.5 * error.square(), valid),
        tdAbsErr=valid_mean(error.detach().abs(), valid),
        q=valid_mean(value.detach(), valid),
    )


@final
@dataclass(kw_only=True)
class PQN(RlAlgorithm):
    """PQN for a :class:`DqnAgent`, feed-forward or recurrent."""

    bootstrap_value: ClassVar[bool] = True

    discount: float = 0.99  # γ
    q_lambda: float = 0.65  # λ
    learning_rate: float = 2.5e-4
    learning_rate_schedule: Schedule = "linear"
    epochs: int = 4  # passes over each batch
    minibatches: int = 4  # per epoch
    clip_grad_norm: float | None = 10.0
    OptimCls: type[torch.optim.Optimizer] = torch.optim.RAdam
    optim_kwargs: dict[str, Any] = field(default_factory=dict)
    intrinsic: IntrinsicRewards | None = None  # added to the environment's
    compile: Compile = False  # forward and backward as one graph; True needs a C++ compiler on CPU
    precision: Precision = "float32"  # of products and convolutions in the loss

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
        self._check()
        self._world = world or World()
        self._agent = q_agent(agent, ("q",), "PQN")
        self._n_itr = n_itr
        self._batch_spec = batch_spec
        self._shuffle = Shuffle(
            self.minibatches,
            batch_spec,
            sequences=self._agent.recurrent,
            seed=seed,
            world=self._world,
        )
        if self.intrinsic is not None:
            self.intrinsic.initialize(
                self._agent.env_spaces,
                batch_spec,
                seed=seed,
                device=self._agent.device,
                world=self._world,
            )
        self._gradient = gradient_step(self, self._agent.model, self._loss, world=self._world)

    def _check(self) -> None:
        at_least_one = (1, math.inf)
        self.check_settings(
            {
                "discount": (0.0, 1.0),
                "q_lambda": (0.0, 1.0),
                "learning_rate": (0.0, math.inf),
                "epochs": at_least_one,
                "minibatches": at_least_one,
                "clip_grad_norm": (1e-12, math.inf),
            }
        )

    def updates_per_itr(self) -> int:
        """Gradient steps in one ``optimize_agent``."""
        return self.epochs * self.minibatches

    def samples_per_itr(self) -> int:
        """Samples consumed by one ``optimize_agent``."""
        return self.epochs * self._batch_spec.size

    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """Targets for one batch [T, B]; then ``epochs`` passes of ``minibatches`` steps over it."""
        learning_rate = scheduled(self.learning_rate, self.learning_rate_schedule, itr, self._n_itr)
        samples = buffer_to(self._rewarded(itr, samples), self._agent.device)
        info = samples.agent_info
        state = info.prev_rnn_state[0] if self._agent.recurrent else NoState()
        batch = _Batch(
            agent_inputs=samples.agent_inputs,
            action=samples.action,
            return_=self._returns(samples, state),
            valid=samples.valid,
        )
        infos: list[NamedTuple] = []
        norms: list[Tensor] = []
        for _epoch in range(self.epochs):
            for minibatch, initial in self._shuffle.epoch(batch, state):
                self._agent.model.resample(self._shuffle.rng)
                share = self._world.share(minibatch.valid)
                found, norm = self._gradient.step(learning_rate, minibatch, initial, share=share)
                infos.append(found)
                norms.append(norm)
        self._agent.model.update_normalizer(samples.observation, samples.valid, self._world)
        report = {} if self.intrinsic is None else self.intrinsic.report()
        return {**opt_info(infos, norms), **report}

    def _rewarded(self, itr: int, samples: Samples) -> Samples:
        """With intrinsic rewards, if any."""
        if self.intrinsic is None:
            return samples
        self.intrinsic.begin(itr)
        return samples._replace(reward=self.intrinsic.added(samples, samples.reward))

    @torch.no_grad()
    def _returns(self, samples: Samples, state: Any) -> Tensor:
        """G, [T, B], by the parameters that collected the batch."""
        assert samples.bootstrap_value is not None
        value = self._agent.value(samples.agent_inputs, state)
        following = next_values(
            value, samples.bootstrap_value, samples.terminated, samples.truncated
        )
        if samples.valid is not None:  # with masks no action is allowed where nothing happened
            following = torch.where(samples.valid, following, 0.0)
        return q_lambda_return(
            samples.reward, following, samples.done, self.discount, self.q_lambda
        )

    def _loss(self, batch: _Batch, state: Any) -> tuple[Tensor, QInfo]:
        q = self._agent.model(*batch.agent_inputs, state)[0].values
        parts = pqn_loss(q, batch.action, batch.return_, batch.valid)
        return parts.loss, parts

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and minibatch generator."""
        return {
            "gradient": self._gradient.state_dict(),
            "generator": self._shuffle.state_dict(),
            "intrinsic": None if self.intrinsic is None else self.intrinsic.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._gradient.load_state_dict(state["gradient"])
        self._shuffle.load_state_dict(state["generator"])
        if self.intrinsic is not None:
            self.intrinsic.load_state_dict(state["intrinsic"])
