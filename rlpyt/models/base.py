"""The contract of a model: inputs and state in, outputs and state out; nothing is kept between
calls.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import Tensor, nn

from rlpyt.data import NoState
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.world import World

__all__ = ["Model", "PgOutputs"]


class PgOutputs(NamedArrayTuple):
    """What a policy-gradient model returns."""

    params: Tensor  # [..., distribution.param_size]
    value: Tensor  # [...]
    intrinsic_value: Tensor | None = None  # [...], where the model has one


class Model(nn.Module, ABC):
    """A network with explicit state. ``forward`` takes one step [B, ...] or a sequence [T, B, ...],
    told by ``reset``.

    Feed-forward models ignore ``prev_action``, ``prev_reward`` and ``reset`` and return ``state``
    as it came; they also take any other leading dimensions, such as a flat minibatch [N, ...].
    """

    # Whether policy and value share nothing, so that acting can leave the value for later by the
    # two hooks ``policy_params`` and ``value``.
    value_is_separate: bool = False
    # Whether ``PgOutputs`` come with a value of intrinsic returns.
    has_intrinsic_value: bool = False
    # Whether previous action and reward are used; else learning does not gather them.
    reads_previous: bool = True

    @classmethod
    @abstractmethod
    def from_spaces(cls, *args: Any, **kwargs: Any) -> Self:
        """``from_spaces(observation_space, action_space, <the model's own keyword arguments>)``:
        build for these spaces.
        """

    @abstractmethod
    def forward(
        self, observation: Any, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> tuple[Any, Any]:
        """Outputs and next state, from AgentInputs and a state batch-first [B, ...]."""

    def initial_state(self, B: int) -> Any:
        """The state at the start of an episode for ``B`` environments; zeros, batch first."""
        return NoState()

    def policy_params(self, observation: Any) -> Tensor:
        """Policy parameters alone; asked for only where ``value_is_separate``."""
        raise NotImplementedError

    def value(
        self, observation: Any, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> Tensor:
        """The value alone; asked for only where ``value_is_separate``."""
        raise NotImplementedError

    def update_normalizer(
        self, observation: Any, valid: Tensor | None = None, world: World | None = None
    ) -> None:
        """Take a batch [T, B, ...] of all processes in ``world`` into the observation statistics,
        where the model keeps any. A hook: does nothing.
        """
