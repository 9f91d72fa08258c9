"""PEARL: off-policy meta-reinforcement learning with a probabilistic context (Rakelly et al. 2019,
"Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic Context Variables",
arXiv:1903.08254).

After the authors' release: soft actor-critic of the form with a state value (Haarnoja et al. 2018,
arXiv:1801.01290), on transitions of many tasks at once, all networks told by a latent z which task
they are in. z ~ q(z|c) is inferred from the task's recent context; its encoder learns from the
critics' loss, and from an information bottleneck that keeps it close to the prior.

Differs from the release: layers start as torch's do; contexts of the trials that are collected are
all that was seen so far, as at test time, where the release took a random part of it; environments
collect beside each other, each a trial of a task of its own.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from rlpyt.agents.base import Agent
from rlpyt.agents.pearl import Conditioned, PearlAgent, trial_spaces
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.fixed import fixed
from rlpyt.algos.meta.collected import append_trials, drawn_batch
from rlpyt.algos.meta.losses import (
    CriticInfo,
    PearlBatch,
    PolicyInfo,
    ValueInfo,
    critic_loss,
    policy_loss,
)
from rlpyt.algos.opt_info import step_info
from rlpyt.algos.optimizer import Compile, GradientStep
from rlpyt.algos.schedule import Schedule, scheduled
from rlpyt.algos.target import TargetUpdate
from rlpyt.data import AgentInputs, BatchSpec, NoState, OptInfo, Samples
from rlpyt.models.critic import CriticModel
from rlpyt.models.mlp import Nonlinearity
from rlpyt.models.value import ValueModel
from rlpyt.ops.posterior import sample_gaussians, standard_normal_kl
from rlpyt.replays.tasks import TaskReplay
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator, generator_state, load_generator_state, seeded_init
from rlpyt.utils.world import World

__all__ = ["PEARL"]


@final
@dataclass(kw_only=True)
class PEARL(RlAlgorithm):
    """Each iteration takes in one batch of trials, then takes ``train_steps`` gradient steps, each
    on ``meta_batch`` tasks, drawn with replacement.
    """

    off_policy: ClassVar[bool] = True

    discount: float = 0.99  # γ
    replay: TaskReplay = field(default_factory=TaskReplay)
    meta_batch: int = 16  # M, tasks in one gradient step
    batch_size: int = 256  # N, transitions of each
    context_size: int = 64  # C, transitions of each one's context, at most
    # "rows": C of them at random, as in the release. "windows": 1 to C that followed each other, as
    # it is at test time: beliefs from little are right then too.
    context_sampling: Literal["rows", "windows"] = "rows"
    min_steps_learn: int = 0  # environment steps before: those of the first trials of all tasks
    train_steps: int = 2000  # gradient steps after each batch
    learning_rate: float = 3e-4
    learning_rate_schedule: Schedule = "constant"
    reward_scale: float = 5.0  # the entropy counts 1
    kl_lambda: float = 0.1  # λ
    target_update_tau: float = 0.005
    policy_regularization: float = 1e-3  # w
    hidden_sizes: tuple[int, ...] = (300, 300, 300)  # of critics and value
    nonlinearity: Nonlinearity = "relu"  # of both
    OptimCls: type[torch.optim.Optimizer] = torch.optim.Adam
    optim_kwargs: dict[str, Any] = field(default_factory=dict)
    compile: Compile = False

    def initialize(
        self,
        agent: Agent,
        *,
        n_itr: int,
        batch_spec: BatchSpec,
        seed: int,
        world: World | None = None,
    ) -> None:
        """Bind the agent; build critics and values; allocate the replay."""
        self._check()
        self.agent = agent = _checked(agent)
        self._world = world = world or World()
        self._steps_per_itr = batch_spec.size * world.size
        self._rng = generator(seed, Stream.ALGO, 0, *world.keys)
        self.replay.initialize(*_transition_spaces(agent), n_tasks=_n_tasks(agent))
        self._n_itr = n_itr
        self.critic, self.value = self._networks(seed)
        critics = nn.ModuleDict({"critic": self.critic, "encoder": agent.encoder})
        self._critic_step = self._gradient_step(critics, self._critic_loss)
        self._policy_step = self._gradient_step(agent.policy.model, self._policy_loss)
        self._value_step = self._gradient_step(self.value, self._value_loss)
        self.target_value = deepcopy(self.value).requires_grad_(False)
        self._target_update = TargetUpdate(self.target_value, self.value)
        self._critic_parameters = list(self.critic.parameters())

    def _networks(self, seed: int) -> tuple[CriticModel, ValueModel]:
        device, (conditioned, action) = self.agent.device, self.agent.policy.env_spaces
        layers: Any = {"hidden_sizes": self.hidden_sizes, "nonlinearity": self.nonlinearity}
        with seeded_init(int(generator(seed, Stream.ALGO, 1).integers(2**31))):
            critic = CriticModel.from_spaces(conditioned, action, **layers)
            value = ValueModel.from_spaces(conditioned, **layers)
        return critic.to(device), value.to(device)

    def _check(self) -> None:
        one, positive = (1, float("inf")), (0.0, float("inf"))
        sizes = dict.fromkeys(("meta_batch", "batch_size", "context_size", "train_steps"), one)
        names = ("learning_rate", "reward_scale", "kl_lambda", "policy_regularization")
        units = dict.fromkeys(("discount", "target_update_tau"), (0.0, 1.0))
        numbers = dict.fromkeys((*names, "min_steps_learn"), positive)
        self.check_settings({**sizes, **numbers, **units})

    def _gradient_step(self, model: nn.Module, loss: Any) -> GradientStep:
        return GradientStep(
            model,
            loss,
            OptimCls=self.OptimCls,
            optim_kwargs=self.optim_kwargs,
            compile=self.compile,
            world=self._world,
        )

    def forecast(self, agent: Agent, batch_spec: BatchSpec) -> int:
        """Bytes that the replay takes when it is full."""
        agent = _checked(agent)
        return self.replay.forecast(*_transition_spaces(agent), n_tasks=_n_tasks(agent))

    def updates_per_itr(self) -> int:
        """Gradient steps, once it learns."""
        return self.train_steps

    def samples_per_itr(self) -> int:
        """Transitions learned from, without those of contexts."""
        return self.train_steps * self.meta_batch * self.batch_size

    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """Take in the batch [T, B] of trials; then the gradient steps."""
        append_trials(self.replay, samples)
        if (itr + 1) * self._steps_per_itr < self.min_steps_learn:
            return {}
        rate, schedule = self.learning_rate, self.learning_rate_schedule
        return self._learn(scheduled(rate, schedule, itr, self._n_itr))

    def _learn(self, rate: float) -> OptInfo:
        known = self.replay.ready()
        critic: list[tuple[NamedTuple, Tensor]] = []
        policy: list[tuple[NamedTuple, Tensor]] = []
        value: list[tuple[NamedTuple, Tensor]] = []
        for _ in range(self.train_steps):
            batch = self._batch(known)
            noise = self._normal(self.meta_batch, self.agent.latent_size)
            (info, latent), norm = self._critic_step.step(rate, batch, noise)
            critic.append((info, norm))
            (policy_info, target), norm = self._improve(rate, batch.now, latent)
            policy.append((policy_info, norm))
            value.append(self._value_step.step(rate, batch.now, latent, target))
            self._target_update.step(self.target_update_tau)
        return {
            **step_info(critic, "qGradNorm"),
            **step_info(policy, "piGradNorm"),
            **step_info(value, "vGradNorm"),
        }

    def _batch(self, known: np.ndarray[Any, Any]) -> PearlBatch:
        """Of tasks of which there is something, and of their contexts."""
        return drawn_batch(
            self.replay,
            self._rng.choice(known, self.meta_batch),
            self._rng,
            batch_size=self.batch_size,
            context_size=self.context_size,
            windows=self.context_sampling == "windows",
            reward_scale=self.reward_scale,
            device=self.agent.device,
        )

    def _normal(self, *shape: int) -> Tensor:
        drawn = self._rng.standard_normal(shape, dtype=np.float32)
        return torch.from_numpy(drawn).to(self.agent.device)

    def _critic_loss(
        self, batch: PearlBatch, noise: Tensor
    ) -> tuple[Tensor, tuple[NamedTuple, Tensor]]:
        """Towards y = r + γ (1 - d) V⁻(s', z); also the z ~ q(z|c) it is for, [M, latent_size]."""
        belief = self.agent.encoder(batch.context, batch.valid)
        latent = sample_gaussians(belief, noise)
        with torch.no_grad():
            next_value = self.target_value(self._conditioned(batch.following, latent))
            target = batch.reward + self.discount * batch.not_terminated * next_value
        q = self._q(self._conditioned(batch.now, latent), batch.action)
        certain = self.agent.encoder.deterministic  # then nothing is kept close to the prior
        kl = q.new_zeros(self.meta_batch) if certain else standard_normal_kl(belief)
        loss = critic_loss(q, target, kl, kl_lambda=self.kl_lambda)
        info = CriticInfo(loss.detach(), q.detach().mean(), kl.detach().mean())
        return loss, (info, latent.detach())

    def _conditioned(self, observation: Any, latent: Tensor) -> Conditioned:
        """Observations [M, N, ...] with their task's z."""
        return Conditioned(observation, latent.unsqueeze(1).expand(-1, self.batch_size, -1))

    def _q(self, seen: Conditioned, action: Any) -> Tensor:
        """Q_i(s, a, z) of n critics, [n, M, N]."""
        q: Tensor = self.critic(*_inputs(seen), NoState(), action)
        return q.squeeze(-1)

    def _improve(self, rate: float, observation: Any, latent: Tensor) -> tuple[Any, Tensor]:
        """One step of the policy, through critics that stay as they are."""
        noise = self._normal(self.meta_batch, self.batch_size, self.agent.policy.action_size)
        with fixed(self._critic_parameters):
            return self._policy_step.step(rate, observation, latent, noise)

    def _policy_loss(
        self, observation: Any, latent: Tensor, noise: Tensor
    ) -> tuple[Tensor, tuple[NamedTuple, Tensor]]:
        """Also what V is to become, min_i Q_i(s, a, z) - log π(a|s, z), [M, N]."""
        seen, policy = self._conditioned(observation, latent), self.agent.policy
        params, _state = policy.model(*_inputs(seen), NoState())
        action, log_prob = policy.sample_from(params, noise)
        q = self._q(seen, action).amin(0)
        mean, log_std = params.chunk(2, dim=-1)
        log_std = log_std.clamp(*policy.log_std_range)
        weight = self.policy_regularization
        loss = policy_loss(q, log_prob, mean, log_std, regularization=weight)
        info = PolicyInfo(loss.detach(), -log_prob.detach().mean())
        return loss, (info, (q - log_prob).detach())

    def _value_loss(
        self, observation: Any, latent: Tensor, target: Tensor
    ) -> tuple[Tensor, ValueInfo]:
        """E[(V(s, z) - target)²]."""
        loss = mse_loss(self.value(self._conditioned(observation, latent)), target)
        return loss, ValueInfo(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Critics, values, optimizers, the replay of all tasks, and the generator."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {**parts, "rng": generator_state(self._rng)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        load_generator_state(self._rng, state["rng"])

    def _parts(self) -> dict[str, Any]:
        return {
            "critic": self.critic,
            "value": self.value,
            "target_value": self.target_value,
            "critic_gradient": self._critic_step,
            "policy_gradient": self._policy_step,
            "value_gradient": self._value_step,
            "replay": self.replay,
        }


def _inputs(seen: Conditioned) -> AgentInputs:
    """For networks without memory, which look at nothing else."""
    nothing: Any = None
    return AgentInputs(seen, nothing, nothing, nothing)


def _checked(agent: Agent) -> PearlAgent:
    if not isinstance(agent, PearlAgent):
        what = f"PEARL does not learn agent {type(agent).__name__!r}"
        raise RlpytError("config", what, hint="use PearlAgent()")
    return agent


def _transition_spaces(agent: PearlAgent) -> tuple[Any, Any]:
    return trial_spaces(agent.env_spaces.observation), agent.env_spaces.action


def _n_tasks(agent: PearlAgent) -> int:
    space: Any = agent.env_spaces.observation
    return int(space["task"].n)
