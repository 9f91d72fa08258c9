"""The policy-gradient agent: a policy and a value, any action space, feed-forward or recurrent."""

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.action_mask import has_action_mask
from rlpyt.agents.base import Agent, Exploration
from rlpyt.data import AgentInputs, AgentStep, EnvSpaces, NoState, Samples
from rlpyt.distributions.base import Distribution
from rlpyt.distributions.factory import distribution_for
from rlpyt.models.base import Model
from rlpyt.models.pg import PgModel
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.buffer import buffer_to
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.seed import seeded_init

__all__ = ["AgentInfo", "PgAgent", "PgEvaluation"]


class AgentInfo(NamedArrayTuple):
    """What is recorded of each step."""

    dist_info: Any  # tree [..., ...]
    value: Tensor  # [...]
    prev_rnn_state: Any = None  # tree [..., ...], the state this step started from


class PgEvaluation(NamedArrayTuple):
    """The current policy and value at recorded inputs."""

    dist_info: Any
    value: Tensor
    intrinsic_value: Tensor | None = None  # where the model has one


@final
@dataclass(kw_only=True)
class PgAgent(Agent):
    """Actor-critic agent for A2C, PPO and their kin.

    ``ModelCls.from_spaces(observation_space, action_space, **model_kwargs)`` builds the model,
    which returns PgOutputs.
    """

    ModelCls: type[Model] = PgModel
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    # Squash Box actions by tanh into their bounds, instead of clipping at the env edge.
    squash: bool = False
    env_spaces: EnvSpaces = field(init=False, repr=False, compare=False)
    model: Model = field(init=False, repr=False, compare=False)
    distribution: Distribution = field(init=False, repr=False, compare=False)
    recurrent: bool = field(init=False, repr=False, compare=False)  # minibatches hold sequences

    def initialize(self, env_spaces: EnvSpaces, *, seed: int, device: torch.device) -> None:
        """Build distribution and model for ``env_spaces``."""
        self.env_spaces = env_spaces
        self.distribution = distribution_for(env_spaces.action, squash=self.squash)
        self._masked = has_action_mask(env_spaces.observation, self.distribution.mask_size)
        build = self.ModelCls.from_spaces
        kwargs = checked_arguments(build, self.model_kwargs, "agent.model_kwargs", positional=2)
        with seeded_init(seed):
            model = build(env_spaces.observation, env_spaces.action, **kwargs)
        self.model = model.to(device)
        self._device = device
        self.recurrent = len(model.initial_state(1)) > 0

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._device

    @property
    def noise_size(self) -> int:
        """Numbers of noise that one action takes."""
        return self.distribution.noise_size

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...], where: Exploration
    ) -> np.ndarray[Any, Any]:
        """Noise for ``leading`` actions, [*leading, noise_size] float32; the policy explores."""
        return self.distribution.draw_noise(rng, leading)

    def initial_state(self, B: int) -> Any:
        """Recurrent state at the start of an episode, [B, ...]."""
        return self.model.initial_state(B)

    def step(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """Act in B environments: a sample for ``noise`` [B, noise_size], the mode without."""
        outputs, next_state = self.model(*inputs, state)
        prev_rnn_state = state if self.recurrent else None
        chosen = self._choose(inputs, outputs.params, noise, outputs.value, prev_rnn_state)
        return chosen, next_state

    def act(self, inputs: AgentInputs, state: Any, noise: Tensor | None) -> tuple[AgentStep, Any]:
        """As ``step``; a value network of its own is left for ``finish``, once for the batch."""
        if not self.model.value_is_separate:
            return self.step(inputs, state, noise)
        params = self.model.policy_params(inputs.observation)
        return self._choose(inputs, params, noise, None, None), state

    def _choose(
        self, inputs: AgentInputs, params: Tensor, noise: Tensor | None, value: Any, prev_state: Any
    ) -> AgentStep:
        dist_info = self.distribution.dist_info(params, self._mask(inputs.observation))
        if noise is None:
            action = self.distribution.mode(dist_info)
        else:
            action = self.distribution.sample(dist_info, noise)
        return AgentStep(action, AgentInfo(dist_info, value, prev_state))

    def finish(self, samples: Samples) -> None:
        """Write the values of the whole batch, [T, B], where ``act`` left them out."""
        if self.model.value_is_separate:
            inputs = self.learning_inputs(samples.agent_inputs)
            value = self.value(buffer_to(inputs, self.device), NoState())
            samples.agent_info.value.copy_(value)

    def value(self, inputs: AgentInputs, state: Any) -> Tensor:
        """V, [B] or [T, B]."""
        if self.model.value_is_separate:
            observation, prev_action, prev_reward, reset = inputs
            return self.model.value(observation, prev_action, prev_reward, reset, state)
        value: Tensor = self.model(*inputs, state)[0].value
        return value

    def evaluate(self, inputs: AgentInputs, state: Any) -> PgEvaluation:
        """Policy and value of the current parameters at recorded inputs: [N, ...], or [T, B, ...]
        from ``state``.
        """
        outputs, _state = self.model(*inputs, state)
        mask = self._mask(inputs.observation)
        dist_info = self.distribution.dist_info(outputs.params, mask)
        return PgEvaluation(dist_info, outputs.value, outputs.intrinsic_value)

    def intrinsic_value(self, inputs: AgentInputs, state: Any) -> Tensor:
        """The value of intrinsic returns, [T, B], from ``state`` at the first step."""
        value: Tensor = self.model(*self.learning_inputs(inputs), state)[0].intrinsic_value
        return value

    def dist_info(self, params: Tensor, observation: Any) -> Any:
        """The policy of the model's ``params`` [..., param_size], under the observation's mask."""
        return self.distribution.dist_info(params, self._mask(observation))

    def learning_inputs(self, inputs: AgentInputs) -> AgentInputs:
        """What of the recorded inputs the model reads; the rest is not gathered in vain."""
        if self.model.reads_previous:
            return inputs
        none: Any = None
        return AgentInputs(inputs.observation, none, none, none)

    def first_state(self, agent_info: AgentInfo) -> Any:
        """Recurrent state at the first step of recorded info [T, B, ...]: [B, ...]."""
        return agent_info.prev_rnn_state[0] if self.recurrent else NoState()

    def _mask(self, observation: Any) -> Tensor | None:
        return observation.action_mask.bool() if self._masked else None

    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers."""
        return {"model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take parameters and buffers."""
        self.model.load_state_dict(state["model"])
