"""What deterministic and maximum-entropy actor-critics do around their losses: replay, critics,
target networks, steps of the critics, and now and then one of the policy.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.algos.augmenter import Augmenter
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.fixed import fixed
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.opt_info import step_info
from rlpyt.algos.optimizer import Compile, Precision, gradient_step
from rlpyt.algos.q_losses import QLosses, sequence_losses
from rlpyt.algos.qpg.actor_critic import ActorCritic, TargetNetwork
from rlpyt.algos.qpg.batch import QpgBatch, Steps, sequences, transitions
from rlpyt.algos.qpg.losses import CriticInfo, PolicyInfo, PolicyLosses, SoftPolicyInfo
from rlpyt.algos.qpg.networks import build_critic, checked_agent, share_statistics
from rlpyt.algos.qpg.shared_encoder import SharedEncoder
from rlpyt.algos.qpg.temperature import Temperature
from rlpyt.algos.replay_loop import (
    LOOP_RANGES,
    ReplayLoop,
    keeps_learned_reward,
    recorded_state,
)
from rlpyt.algos.schedule import Schedule, scheduled
from rlpyt.augment.base import Augmentation
from rlpyt.data import BatchSpec, OptInfo, Samples
from rlpyt.models.critic import CriticModel
from rlpyt.models.policy import PolicyKind
from rlpyt.ops.losses import valid_mean, weighted_mean
from rlpyt.replays.batches import ReplaySamples, ReplaySequences
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator, generator_state, load_generator_state
from rlpyt.utils.world import World

__all__ = ["QpgAlgorithm", "StepOf"]

StepOf = Literal["critic", "policy"]
"""What takes a gradient step."""


@dataclass(kw_only=True)
class QpgAlgorithm(RlAlgorithm, ABC):
    """Off-policy learning of n critics, and of a policy that climbs them; from a replay of
    transitions, or of sequences where the networks are recurrent.

    Each iteration appends one batch of samples and takes as many steps of the critics as
    ``replay_ratio`` asks for, exactly, counted over the run; the policy takes a step after every
    ``policy_delay`` of them, the target networks after every ``target_update_interval``.
    """

    off_policy: ClassVar[bool] = True
    policy: ClassVar[PolicyKind]  # which the loss can learn
    target_networks: ClassVar[tuple[TargetNetwork, ...]]  # which there are
    critic_defaults: ClassVar[Mapping[str, Any]] = {}  # below critic_kwargs
    batch_renorm: ClassVar[bool] = False  # whether the loss can learn by statistics of batches
    # What the settings that the algorithm adds may be, ends included.
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}

    discount: float = 0.99  # γ
    replay: ReplayBuffer = field(default_factory=ReplayBuffer)
    augmentation: Augmentation | None = None  # of the observations in a batch of the replay
    shared_encoder: bool = False  # the critics' encoder of images is also the policy's
    batch_size: int = 256  # transitions, or sequences, in one gradient step
    min_steps_learn: int = 10_000  # environment steps before the first gradient step
    replay_ratio: float = 256.0  # transitions learned from for each environment step
    learning_rate: float = 3e-4
    policy_learning_rate: float | None = None  # None: learning_rate
    learning_rate_schedule: Schedule = "constant"
    n_critics: int = 2
    critic_kwargs: dict[str, Any] = field(default_factory=dict)
    policy_delay: int = 1  # steps of the critics for one of the policy
    target_update_interval: int = 1  # steps of the critics for one of the target networks
    target_update_tau: float = 0.005
    clip_grad_norm: float | None = None
    OptimCls: type[torch.optim.Optimizer] = torch.optim.Adam
    optim_kwargs: dict[str, Any] = field(default_factory=dict)
    temperature: Temperature | None = None  # of the policy's entropy; None: it has none
    intrinsic: IntrinsicRewards | None = None  # added to the environment's
    compile: Compile = False  # forward and backward as one graph; True needs a C++ compiler on CPU
    precision: Precision = "float32"  # of products and convolutions in the loss

    @abstractmethod
    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], step: StepOf) -> Any:
        """What the loss of ``step`` needs of chance, for actions at steps of leading ``shape``."""

    @abstractmethod
    def critic_losses(self, batch: QpgBatch, noise: Any) -> QLosses:
        """The paper's loss of the critics at each step."""

    @abstractmethod
    def policy_losses(self, batch: QpgBatch, noise: Any) -> PolicyLosses:
        """The paper's loss of the policy at each step."""

    def initialize(
        self,
        agent: Agent,
        *,
        n_itr: int,
        batch_spec: BatchSpec,
        seed: int,
        world: World | None = None,
    ) -> None:
        """Bind the agent; build critics and their targets; allocate the replay."""
        self._check()
        self.agent = checked_agent(type(self).__name__, agent, self.policy)
        self._n_itr, self._batch_spec = n_itr, batch_spec
        self._world = world or World()
        self._rng = generator(seed, Stream.ALGO, 0)
        self._loop = ReplayLoop(self, self.agent, batch_spec, seed=seed, world=self._world)
        critic = self._build_critic(int(self._rng.integers(2**31)))
        if self._world.rank:  # the same networks, other noise
            self._rng = generator(seed, Stream.ALGO, 0, *self._world.keys)
        self._augmented = Augmenter(
            self.augmentation, self.agent.env_spaces.observation, seed=seed, world=self._world
        )
        self._front = SharedEncoder(self.agent, critic, is_shared=self.shared_encoder)
        self.online = ActorCritic(self.agent, self.agent.model, critic, is_target=False)
        self._critic_parameters = list(critic.parameters())
        world, model = self._world, self.agent.model
        self._critic_step = gradient_step(self, critic, self._critic_loss, world=world)
        with fixed(self._front.parameters):
            self._policy_step = gradient_step(self, model, self._policy_loss, world=world)
        self.target, self._target_updates = self.online.target(
            self.target_networks, common=self._front.encoder
        )
        if self.temperature is not None:
            entropy = self.agent.default_entropy
            self.temperature.initialize(self.OptimCls, entropy, self._policy_step.vector.detach())
        self._updates = 0

    def _check(self) -> None:
        one, infinity = (1, float("inf")), float("inf")
        limits = dict.fromkeys(("n_critics", "policy_delay", "target_update_interval"), one)
        rates = dict.fromkeys(("learning_rate", "policy_learning_rate"), (0.0, infinity))
        units = dict.fromkeys(("discount", "target_update_tau"), (0.0, 1.0))
        clip = {"clip_grad_norm": (1e-12, infinity)}
        self.check_settings({**limits, **rates, **clip, **units, **LOOP_RANGES, **self.ranges})
        if (self.temperature is None) != (self.policy == "deterministic"):
            hint = "leave it as it is"
            raise RlpytError("config", f"algo.temperature={self.temperature}", hint=hint)

    def _build_critic(self, seed: int) -> CriticModel:
        return build_critic(
            type(self).__name__,
            self.agent,
            {**self.critic_defaults, **self.critic_kwargs},
            n_critics=self.n_critics,
            sequences=self.replay.sequence_length is not None,
            batch_renorm=self.batch_renorm,
            seed=seed,
        )

    def forecast(self, agent: Agent, batch_spec: BatchSpec) -> int:
        """Bytes that the replay takes when it is full."""
        agent = checked_agent(type(self).__name__, agent, self.policy)
        state = recorded_state(agent)
        return self.replay.forecast(
            agent.env_spaces,
            B=batch_spec.B,
            prev_rnn_state=state,
            learned_reward=keeps_learned_reward(self),
        )

    def updates_per_itr(self) -> int:
        """Gradient steps of the critics, on average."""
        return self._loop.updates_per_itr

    def samples_per_itr(self) -> int:
        """Transitions learned from."""
        return self._loop.samples_per_itr

    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """Append the batch [T, B]; then the gradient steps that are due."""
        self._itr = itr
        rate, policy_rate = self._rates(itr)
        critic: list[tuple[NamedTuple, Tensor]] = []
        policy: list[tuple[NamedTuple, Tensor]] = []
        for replayed in self._loop.batches(itr, samples):
            batch = self._seen(self._augmented.replayed(replayed))
            noise = self._noise(batch.following, "critic")
            (info, priority), norm = self._critic_step.step(rate, batch, noise, replayed.is_weight)
            critic.append((info, norm))
            if self.replay.prioritized is not None:
                self.replay.update_priorities(replayed.indices, priority)
            self._updates += 1
            if self._updates % self.policy_delay == 0:
                policy.append(self._improve(policy_rate, batch))
            if self._updates % self.target_update_interval == 0:
                for update in self._target_updates:
                    update.step(self.target_update_tau)
        for model in (self.online.policy, self.online.critic):
            model.update_normalizer(samples.observation, samples.valid, self._world)
        if self.batch_renorm and self._world.size > 1:
            share_statistics((self.online.policy, self.online.critic), self._world)
        if self.temperature is not None:
            self.temperature.check()
        report = self._loop.report() if critic else {}
        return {**step_info(critic, "qGradNorm"), **step_info(policy, "piGradNorm"), **report}

    def _rates(self, itr: int) -> tuple[float, float]:
        """Of the critics, and of the policy."""
        own, schedule, n_itr = self.policy_learning_rate, self.learning_rate_schedule, self._n_itr
        policy_rate = self.learning_rate if own is None else own
        critic = scheduled(self.learning_rate, schedule, itr, n_itr)
        return critic, scheduled(policy_rate, schedule, itr, n_itr)

    def _seen(self, replayed: ReplaySamples | ReplaySequences) -> QpgBatch:
        """As losses see it."""
        if isinstance(replayed, ReplaySamples):
            return transitions(replayed)
        burn_in = self.replay.burn_in
        states = (pair.states(replayed, burn_in) for pair in (self.online, self.target))
        return sequences(replayed, burn_in, *states)

    def _noise(self, steps: Steps, step: StepOf) -> Any:
        return self.draw(self._rng, tuple(steps.inputs.reset.shape), step)

    def normal(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """Standard normal noise for actions at steps of leading ``shape``, [*shape, dim]."""
        drawn = rng.standard_normal((*shape, self.agent.action_size), dtype=np.float32)
        return torch.from_numpy(drawn).to(self.agent.device)

    def exploration_std(self) -> float:
        """The noise that a deterministic policy explores with after this iteration's steps."""
        steps = (self._itr + 1) * self._batch_spec.size * self._world.size
        return self.agent.exploration.noise_std_after(steps)

    def _improve(self, learning_rate: float, batch: QpgBatch) -> tuple[NamedTuple, Tensor]:
        """One step of the policy, through critics that stay as they are; then of α."""
        noise = self._noise(batch.now, "policy")
        share = self._world.share(batch.valid)
        with fixed(self._critic_parameters):
            report, norm = self._policy_step.step(learning_rate, batch, noise, share=share)
        if self.temperature is not None:
            entropy = report.entropy * (1.0 if share is None else share)
            self.temperature.step(learning_rate, self._world.mean_(entropy))
        return report, norm

    def _critic_loss(
        self, batch: QpgBatch, noise: Any, is_weight: Tensor | None
    ) -> tuple[Tensor, tuple[CriticInfo, Tensor]]:
        losses = self.critic_losses(self._front.for_critics(batch), noise)
        if batch.valid is not None:
            losses = sequence_losses(losses, batch.valid, self.replay.priority_eta)
        loss = weighted_mean(losses.loss, is_weight)
        info = CriticInfo(loss.detach(), losses.priority.mean(), losses.q.mean())
        return loss, (info, losses.priority)

    def _policy_loss(self, batch: QpgBatch, noise: Any) -> tuple[Tensor, NamedTuple]:
        losses = self.policy_losses(self._front.for_policy(batch), noise)
        loss = valid_mean(losses.loss, batch.valid)
        if losses.entropy is None or self.temperature is None:
            return loss, PolicyInfo(loss.detach())
        entropy = valid_mean(losses.entropy, batch.valid)
        return loss, SoftPolicyInfo(loss.detach(), entropy, self.temperature.alpha)

    def state_dict(self) -> dict[str, Any]:
        """Critics, target networks, optimizers, temperature, replay, generator and counters."""
        return {
            **{name: part.state_dict() for name, part in self._parts().items()},
            "rng": generator_state(self._rng),
            "updates": self._updates,
            **self._loop.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        load_generator_state(self._rng, state["rng"])
        self._updates = state["updates"]
        self._loop.load_state_dict(state)

    def _parts(self) -> dict[str, Any]:
        copies = {"policy": self.target.policy, "critic": self.target.critic}
        targets = {f"target_{name}": copies[name] for name in self.target_networks}
        steps = {"critic_gradient": self._critic_step, "policy_gradient": self._policy_step}
        parts = {"critic": self.online.critic, **steps, **targets}
        if self.augmentation is not None:
            parts["augmentation"] = self._augmented
        return parts if self.temperature is None else {**parts, "temperature": self.temperature}
