"""The agent of off-policy actor-critic algorithms: DDPG, TD3, SAC and their kin. It is the policy
alone; critics belong to the algorithm.
"""

import math
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor

from rlpyt.agents.action_mask import has_action_mask
from rlpyt.agents.base import Agent, Exploration
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.data import AgentInputs, AgentStep, EnvSpaces, Samples
from rlpyt.distributions.categorical import Categorical
from rlpyt.distributions.squashed_gaussian import SquashedGaussian
from rlpyt.distributions.unit_gaussian import sample_unit_gaussian
from rlpyt.models.action_scale import ActionScale
from rlpyt.models.policy import PolicyKind, PolicyModel
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import seeded_init

__all__ = ["QpgAgent", "QpgAgentInfo"]


class QpgAgentInfo(NamedArrayTuple):
    """What is recorded of each step."""

    prev_rnn_state: Any = None  # tree [..., ...], the state this step started from


@final
@dataclass(kw_only=True)
class QpgAgent(Agent):
    """Acts by a policy over a bounded Box or over Discrete actions, which learns from critics.

    ``ModelCls.from_spaces(observation_space, action_space, policy, **model_kwargs)`` builds the
    model, which returns policy parameters. Unit actions are within ±1: c + s u is the action for
    the centre c and the half-width s of the bounds.

    =============  ==================================  ================================
    policy         with noise                          without
    =============  ==================================  ================================
    deterministic  u = clip(tanh(f(s)) + noise, ±1)    u = tanh(f(s))
    gaussian       u = tanh(μ(s) + σ(s) noise)         u = tanh(μ(s))
    categorical    argmax(log π(·|s) + noise)          argmax log π(·|s)
    =============  ==================================  ================================
    """

    ModelCls: type[PolicyModel] = PolicyModel
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    policy: PolicyKind = "gaussian"
    exploration: QpgExploration = field(default_factory=QpgExploration)
    # Limits of a Gaussian policy's log σ; no gradient beyond.
    log_std_range: tuple[float, float] = (-20.0, 2.0)
    model: PolicyModel = field(init=False, repr=False, compare=False)
    env_spaces: EnvSpaces = field(init=False, repr=False, compare=False)
    recurrent: bool = field(init=False, repr=False, compare=False)

    def initialize(self, env_spaces: EnvSpaces, *, seed: int, device: torch.device) -> None:
        """Build the model for ``env_spaces``."""
        self.env_spaces = env_spaces
        build = self.ModelCls.from_spaces
        kwargs = checked_arguments(build, self.model_kwargs, "agent.model_kwargs", positional=3)
        with seeded_init(seed):
            model = build(env_spaces.observation, env_spaces.action, self.policy, **kwargs)
        self.model = model.to(device)
        self._device = device
        self.recurrent = len(model.initial_state(1)) > 0
        self._n_actions = 0
        if isinstance(env_spaces.action, spaces.Discrete):
            self._n_actions = int(env_spaces.action.n)
            self._categorical = Categorical(self._n_actions)
        else:
            self._scale = _bounded_scale(env_spaces.action).to(device)
            unit = (1.0,) * self._scale.dim
            low = tuple(-one for one in unit)
            self._gaussian = SquashedGaussian(low, unit, (len(unit),), *self.log_std_range)
        self._masked = has_action_mask(env_spaces.observation, self._n_actions)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._device

    @property
    def action_size(self) -> int:
        """Numbers of noise that one action of the policy takes: dim, or A where Discrete."""
        return self._n_actions or self._scale.dim

    @property
    def default_entropy(self) -> float:
        """The entropy that a policy over these actions usually aims at: -dim for a Box (Haarnoja et
        al. 2018, arXiv:1812.05905), 0.98 log A where Discrete (Christodoulou 2019,
        arXiv:1910.07207).
        """
        return 0.98 * math.log(self._n_actions) if self._n_actions else -float(self._scale.dim)

    @property
    def noise_size(self) -> int:
        """Whether the action is random, and its numbers."""
        return 1 + self.action_size

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...], where: Exploration
    ) -> np.ndarray[Any, Any]:
        """Noise for ``leading`` actions of one environment, time first, [*leading, 1 + dim]
        float32: 1 for a random action, else 0; then that action in unit, or the policy's noise.

        Discrete: [*leading, 1 + A], Gumbel noise either way. However the steps are cut into
        batches, the numbers are the same.
        """
        noise = np.zeros((*leading, self.noise_size), dtype=np.float32)
        n_random = self.exploration.n_random(leading[0], where)
        noise[:n_random, ..., 0] = 1.0
        numbers = noise[..., 1:]
        if self.policy == "categorical":
            numbers[:] = self._categorical.draw_noise(rng, leading)
            return noise
        uniform = rng.random(numbers[:n_random].shape, dtype=np.float32)
        numbers[:n_random] = 2.0 * uniform - 1.0
        normal = rng.standard_normal(numbers[n_random:].shape, dtype=np.float32)
        if self.policy == "deterministic":
            std = self.exploration.noise_std_at(leading[0], where)[n_random:]
            normal *= std.reshape(-1, *[1] * (normal.ndim - 1))
        numbers[n_random:] = normal
        return noise

    def initial_state(self, B: int) -> Any:
        """Recurrent state at the start of an episode, [B, ...]."""
        return self.model.initial_state(B)

    def step(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """Act in B environments: explore by ``noise`` [B, noise_size], the mode without. A Box's
        action is never past its bounds.
        """
        params, next_state = self.model(*inputs, state)
        if self.policy == "categorical":
            action = self._discrete(params, self.mask(inputs.observation), noise)
        else:
            action = self._scale.within(self._unit(params, noise))
        return AgentStep(action, QpgAgentInfo(state if self.recurrent else None)), next_state

    def _discrete(self, logits: Tensor, mask: Tensor | None, noise: Tensor | None) -> Tensor:
        distribution = self._categorical
        if noise is None:
            return distribution.mode(distribution.dist_info(logits, mask))
        logits = torch.where(noise[:, :1] > 0.0, 0.0, logits)  # random: all alike
        return distribution.sample(distribution.dist_info(logits, mask), noise[:, 1:])

    def _unit(self, params: Tensor, noise: Tensor | None) -> Tensor:
        """The unit action, [B, dim]."""
        if noise is None:
            return torch.tanh(params[..., : self._scale.dim])
        is_random, numbers = noise[:, :1] > 0.0, noise[:, 1:]
        if self.policy == "deterministic":
            unit = (torch.tanh(params) + numbers).clamp(-1.0, 1.0)
        else:
            unit = self._gaussian.sample(self._gaussian.dist_info(params), numbers)
        return torch.where(is_random, numbers, unit)

    def act(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """As ``step``: nothing can wait."""
        return self.step(inputs, state, noise)

    def finish(self, samples: Samples) -> None:
        """Nothing was left out."""

    def value(self, inputs: AgentInputs, state: Any) -> Tensor:
        """There is none: critics belong to the algorithm."""
        raise NotImplementedError

    def sample(
        self,
        inputs: AgentInputs,
        state: Any,
        noise: Tensor,
        *,
        model: PolicyModel | None = None,
        train: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """A Gaussian policy's action [..., *shape] for standard normal ``noise`` [..., dim], and
        the log-density [...] of its unit action; both have a gradient (reparameterised).

            log π(u|s) = log N(μ + σ noise; μ, σ) - Σ_i log(1 - u_i²)

        In units of the bounds, a policy's entropy does not depend on what they are (Haarnoja et al.
        2018, arXiv:1801.01290, appendix C). The density of the action itself is lower by Σ log s.

        Args:
            inputs: Any leading dimensions.
            state: As in ``step``.
            noise: [..., dim].
            model: Another policy than the agent's: a target network.
            train: With batch renormalisation: by the batch's statistics, and take them in.
        """
        params, _state = (self.model if model is None else model)(*inputs, state, train)
        return self.sample_from(params, noise)

    def sample_from(self, params: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`sample`, of the policy's parameters [..., 2 dim]: μ and log σ."""
        unit, log_prob = sample_unit_gaussian(params, noise, *self.log_std_range)
        return self._scale.from_unit(unit), log_prob

    def log_probabilities(
        self, inputs: AgentInputs, state: Any, *, model: PolicyModel | None = None
    ) -> Tensor:
        """A categorical policy's log π(·|s), [..., A], with gradient; where masked a large negative
        finite number, whose exponential is 0. ``model``: another policy than the agent's.
        """
        params, _state = (self.model if model is None else model)(*inputs, state)
        mask = self.mask(inputs.observation)
        return self._categorical.dist_info(params, mask).log_prob

    def mean_action(
        self,
        inputs: AgentInputs,
        state: Any,
        noise: Tensor | None = None,
        *,
        model: PolicyModel | None = None,
    ) -> Tensor:
        """A deterministic policy's action, [..., *shape], with gradient.

        Args:
            inputs: Any leading dimensions.
            state: As in ``step``.
            noise: [..., dim], added to the unit action, which is then clipped to ±1: the target
                policy smoothing of TD3 (Fujimoto et al. 2018, arXiv:1802.09477, section 5.3). The
                gradient is that without clipping, else saturated actions would not learn.
            model: Another policy than the agent's: a target network.
        """
        params, _state = (self.model if model is None else model)(*inputs, state)
        unit = torch.tanh(params)
        if noise is not None:
            unit = unit + noise
            unit = unit - (unit - unit.clamp(-1.0, 1.0)).detach()
        return self._scale.from_unit(unit)

    def mask(self, observation: Any) -> Tensor | None:
        """Which actions are allowed, [..., A] bool; None where all are."""
        return observation.action_mask.bool() if self._masked else None

    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers."""
        return {"model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take parameters and buffers."""
        self.model.load_state_dict(state["model"])


def _bounded_scale(action_space: Space[Any]) -> ActionScale:
    scale = ActionScale(action_space)
    if not scale.is_bounded:
        raise RlpytError(
            "space",
            f"the policy fills the bounds of its actions, and {action_space} has an infinite one",
            where="action space",
            hint="give it finite bounds with gymnasium.wrappers.TransformAction, or choose ppo",
        )
    return scale
