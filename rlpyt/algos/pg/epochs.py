"""What policy gradients with several losses, or several networks, share: a batch with its
advantages, and epochs of minibatch steps on any of the losses.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from rlpyt.agents.base import Agent
from rlpyt.algos.augmenter import Augmenter
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.minibatch import Shuffle, channels_last_images
from rlpyt.algos.optimizer import Compile, GradientStep, Precision, gradient_step
from rlpyt.algos.pg.batch import (
    POLICY_GRADIENT_RANGES,
    LossInputs,
    loss_inputs,
    normalized,
    policy_gradient_agent,
)
from rlpyt.algos.pg.rewards import LearnedRewards
from rlpyt.algos.schedule import Schedule, scheduled
from rlpyt.data import BatchSpec, OptInfo, Samples
from rlpyt.models.decoupled import AuxiliaryHead, DecoupledPgModel
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

__all__ = ["EpochsAlgorithm", "Learning", "Step", "decoupled_model"]

Step = tuple[Any, Tensor]
"""What a gradient step reports: its loss with the parts, and the gradient's norm."""


class Learning(NamedTuple):
    """What is learned from in one iteration."""

    batch: LossInputs  # [T, B, ...]
    state: Any  # recurrent state at the first step, [B, ...]
    learning_rate: float
    ratio_clip: Tensor  # ε, a scalar


@dataclass(kw_only=True)
class EpochsAlgorithm(RlAlgorithm, ABC):
    """Epochs of minibatch steps on GAE's advantages, one optimizer for each loss.

    The defaults that all share are those published for Procgen.
    """

    bootstrap_value: ClassVar[bool] = True
    two_values: ClassVar[bool] = False

    discount: float = 0.999  # γ
    gae_lambda: float = 0.95  # λ of GAE
    learning_rate: float = 5e-4
    learning_rate_schedule: Schedule = "constant"
    epochs: int = 1  # passes of the policy over each batch
    minibatches: int = 8  # per epoch
    ratio_clip: float = 0.2  # ε of PPO's eq. 7
    ratio_clip_schedule: Schedule = "constant"
    value_clip: float | None = None  # δ; None: the value is not clipped
    entropy_loss_coeff: float = 0.01  # c₂
    clip_grad_norm: float | None = 0.5  # of each optimizer's gradient
    normalize_advantage: bool = True  # over the batch
    normalize_reward: bool = True  # by the running deviation of the discounted return
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
    def build(self, seed: int) -> dict[str, GradientStep]:
        """Whatever else the algorithm needs, an augmenter it may be, and its gradient steps by name
        (:meth:`step_of`); settings are checked, ``agent``, ``world`` and ``shuffle`` are there.
        """

    @abstractmethod
    def learn(self, itr: int, learning: Learning) -> OptInfo:
        """Improve on one batch; report one value per gradient step and name."""

    def initialize(
        self,
        agent: Agent,
        *,
        n_itr: int,
        batch_spec: BatchSpec,
        seed: int,
        world: World | None = None,
    ) -> None:
        """Bind the agent; build the optimizers."""
        common = {name: POLICY_GRADIENT_RANGES[name] for name in _COMMON}
        positive = dict.fromkeys(("ratio_clip", "value_clip"), (1e-12, math.inf))
        at_least_one = dict.fromkeys(("epochs", "minibatches"), (1, math.inf))
        unit = {"gae_lambda": (0.0, 1.0)}
        self.check_settings({**common, **positive, **at_least_one, **unit, **self.ranges})
        self.world = world or World()
        self.agent = agent = policy_gradient_agent(agent)
        self.batch_spec = batch_spec
        self._n_itr = n_itr
        self.shuffle = Shuffle(
            self.minibatches, batch_spec, sequences=agent.recurrent, seed=seed, world=self.world
        )
        self.rewards = LearnedRewards(self, agent, batch_spec, seed=seed, world=self.world)
        self.augmenter: Augmenter | None = None  # ``build`` may put one here
        self.gradients = self.build(seed)

    def step_of(
        self,
        model: nn.Module,
        loss: Callable[..., tuple[Tensor, Any]],
        flat: tuple[Tensor, Tensor] | None = None,
    ) -> GradientStep:
        """A gradient step of this optimizer, on the parameters of ``model``; ``flat``: which are
        views of these already.
        """
        return gradient_step(self, model, loss, world=self.world, flat=flat)

    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """Learn from one batch [T, B]."""
        ratio_clip = scheduled(self.ratio_clip, self.ratio_clip_schedule, itr, self._n_itr)
        reward = self.rewards(itr, samples)
        batch, state = loss_inputs(self.agent, samples, reward, self.discount, self.gae_lambda)
        if not self.agent.recurrent:
            batch = batch._replace(agent_inputs=channels_last_images(batch.agent_inputs))
        if self.normalize_advantage:
            batch = normalized(batch, self.world)
        learning = Learning(
            batch=batch,
            state=state,
            learning_rate=scheduled(
                self.learning_rate, self.learning_rate_schedule, itr, self._n_itr
            ),
            ratio_clip=torch.tensor(ratio_clip, device=self.agent.device),
        )
        opt_info = self.learn(itr, learning)
        self.agent.model.update_normalizer(samples.observation, samples.valid, self.world)
        return {**opt_info, **self.rewards.report()}

    def run_epochs(self, name: str, epochs: int, learning: Learning) -> list[Step]:
        """``epochs`` passes of ``minibatches`` steps called ``name``.

        Its loss takes a minibatch, the recurrent state at its first step, ε, and its inputs
        augmented, or None.
        """
        gradient, steps = self.gradients[name], []
        for _epoch in range(epochs):
            for minibatch, initial in self.shuffle.epoch(learning.batch, learning.state):
                augmented = None
                if self.augmenter is not None:
                    augmented = self.augmenter.inputs(minibatch.agent_inputs)
                step = gradient.step(
                    learning.learning_rate,
                    minibatch,
                    initial,
                    learning.ratio_clip,
                    augmented,
                    share=self.world.share(minibatch.valid),
                )
                steps.append(step)
        return steps

    def state_dict(self) -> dict[str, Any]:
        """Optimizers, generators, reward statistics, and what the algorithm adds."""
        return {
            "gradients": {name: step.state_dict() for name, step in self.gradients.items()},
            "generator": self.shuffle.state_dict(),
            **self.rewards.state_dict(),
            "augmenter": None if self.augmenter is None else self.augmenter.state_dict(),
            "own": self.own_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        for name, step in self.gradients.items():
            step.load_state_dict(state["gradients"][name])
        self.shuffle.load_state_dict(state["generator"])
        self.rewards.load_state_dict(state)
        if self.augmenter is not None:
            self.augmenter.load_state_dict(state["augmenter"])
        self.load_own_state(state["own"])

    def own_state(self) -> Any:
        """What else the algorithm keeps between iterations. A hook: nothing."""
        return None

    def load_own_state(self, state: Any) -> None:
        """Take what :meth:`own_state` gave. A hook: does nothing."""


_COMMON = ("discount", "learning_rate", "entropy_loss_coeff", "clip_grad_norm", "reward_clip")


def decoupled_model(
    algorithm: RlAlgorithm, agent_model: nn.Module, auxiliary: AuxiliaryHead
) -> DecoupledPgModel:
    """The agent's model, if it is of two networks with this auxiliary head.

    Raises:
        RlpytError: for another.
    """
    if isinstance(agent_model, DecoupledPgModel) and agent_model.auxiliary == auxiliary:
        return agent_model
    what = f"{type(algorithm).__name__} with agent.ModelCls={type(agent_model).__name__}"
    if isinstance(agent_model, DecoupledPgModel):
        what += f" and agent.model_kwargs.auxiliary={agent_model.auxiliary!r}"
    hint = f'PgAgent(ModelCls=DecoupledPgModel, model_kwargs={{"auxiliary": "{auxiliary}"}})'
    raise RlpytError("config", f"{what}: it needs the {auxiliary} head", hint=hint)
