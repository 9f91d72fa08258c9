"""The Q-learning agent: epsilon-greedy over a model of action values, feed-forward or recurrent."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.action_mask import has_action_mask
from rlpyt.agents.base import Agent, Exploration
from rlpyt.data import AgentInputs, AgentStep, EnvSpaces, Samples
from rlpyt.distributions.tensors import mask_logits
from rlpyt.models.dqn import DqnModel, QOutputs
from rlpyt.ops.categorical import categorical_support
from rlpyt.ops.q_learning import greedy_action
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import seeded_init

__all__ = ["DqnAgent", "DqnAgentInfo", "EpsilonGreedy"]


class DqnAgentInfo(NamedArrayTuple):
    """What is recorded of each step."""

    prev_rnn_state: Any = None  # tree [..., ...], the state this step started from


@final
@dataclass(frozen=True, kw_only=True)
class EpsilonGreedy:
    """ε, the probability of a random action: straight from ``initial`` to ``final`` over ``steps``
    environment steps, counted over all environments, after the first ``delay``.

    With ``final_min`` every environment has its own last ε, evenly spaced on a logarithmic scale
    from ``final`` to ``final_min`` (Ape-X; Horgan et al. 2018).
    """

    initial: float = 1.0
    final: float = 0.01
    final_min: float | None = None
    delay: int = 0
    steps: int = 250_000
    evaluation: float = 0.001

    def __post_init__(self) -> None:
        for name in ("initial", "final", "final_min", "evaluation"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise RlpytError("config", f"epsilon.{name}={value}", hint="use 0 to 1")

    def at(self, where: Exploration) -> float:
        """ε of one environment, now."""
        if where.steps is None:
            return self.evaluation
        final = self.final
        if self.final_min is not None and where.n_envs > 1:
            place = where.env_index / (where.n_envs - 1)
            final = float(self.final ** (1.0 - place) * self.final_min**place)
        progress = (where.steps - self.delay) / max(1, self.steps)
        return self.initial + (final - self.initial) * min(1.0, max(0.0, progress))


@final
@dataclass(kw_only=True)
class DqnAgent(Agent):
    """Acts by the greatest action value, and now and then at random.

    ``ModelCls.from_spaces(observation_space, action_space, **model_kwargs)`` builds the model,
    which returns QOutputs. Whether an action is random is part of its noise, drawn ahead for each
    environment.
    """

    ModelCls: type[DqnModel] = DqnModel
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    epsilon: EpsilonGreedy = field(default_factory=EpsilonGreedy)
    # The range of the categorical head's returns, [V_min, V_max].
    value_range: tuple[float, float] = (-10.0, 10.0)
    model: DqnModel = field(init=False, repr=False, compare=False)
    env_spaces: EnvSpaces = field(init=False, repr=False, compare=False)
    support: Tensor | None = field(init=False, repr=False, compare=False)  # [n_atoms]
    recurrent: bool = field(init=False, repr=False, compare=False)

    def initialize(self, env_spaces: EnvSpaces, *, seed: int, device: torch.device) -> None:
        """Build the model for ``env_spaces``."""
        self.env_spaces = env_spaces
        build = self.ModelCls.from_spaces
        kwargs = checked_arguments(build, self.model_kwargs, "agent.model_kwargs", positional=2)
        with seeded_init(seed):
            model = build(env_spaces.observation, env_spaces.action, **kwargs)
        self.model = model.to(device)
        self._device = device
        self._n_actions = model.n_actions
        self._masked = has_action_mask(env_spaces.observation, model.n_actions)
        self.recurrent = len(model.initial_state(1)) > 0
        self.support = None
        if model.kind == "categorical":
            self.support = categorical_support(*self.value_range, model.n_outputs, device=device)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._device

    @property
    def noise_size(self) -> int:
        """Whether the action is random, and one number per action."""
        return 1 + self._n_actions

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...], where: Exploration
    ) -> np.ndarray[Any, Any]:
        """Noise for ``leading`` actions, [*leading, 1 + A] float32: 1 for a random action, else 0;
        then a number for each action, of which the greatest wins.
        """
        noise = rng.random((*leading, self.noise_size), dtype=np.float32)
        noise[..., 0] = noise[..., 0] < self.epsilon.at(where)
        return noise

    def initial_state(self, B: int) -> Any:
        """Recurrent state at the start of an episode, [B, ...]."""
        return self.model.initial_state(B)

    def step(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """Act in B environments: ε-greedily by ``noise`` [B, 1 + A], greedily without. Then noisy
        layers act by their means.
        """
        with self.model.without_noise() if noise is None else nullcontext():
            outputs, next_state = self.model(*inputs, state)
        scores = self.action_values(outputs)
        if noise is not None:
            scores = torch.where(noise[:, :1] > 0.0, noise[:, 1:], scores)
        action = self.greedy(scores, inputs.observation)
        return AgentStep(action, DqnAgentInfo(state if self.recurrent else None)), next_state

    def act(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """As ``step``: nothing can wait."""
        return self.step(inputs, state, noise)

    def finish(self, samples: Samples) -> None:
        """Nothing was left out."""

    def value(self, inputs: AgentInputs, state: Any) -> Tensor:
        """max_a Q, [B]."""
        scores = self.action_values(self.model(*inputs, state)[0])
        mask = self.mask(inputs.observation)
        return (scores if mask is None else mask_logits(scores, mask)).amax(-1)

    def action_values(self, outputs: QOutputs) -> Tensor:
        """Q, [..., A], whatever the model's head."""
        return self.model.action_values(outputs, self.support)

    def greedy(self, scores: Tensor, observation: Any) -> Tensor:
        """The allowed action with the greatest of ``scores`` [..., A], [...] int64."""
        return greedy_action(scores, self.mask(observation))

    def mask(self, observation: Any) -> Tensor | None:
        """Which actions are allowed, [..., A] bool; None where all are."""
        return observation.action_mask.bool() if self._masked else None

    def state_dict(self) -> dict[str, Any]:
        """Parameters, and the noise of noisy layers."""
        return {"model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take parameters and buffers."""
        self.model.load_state_dict(state["model"])
