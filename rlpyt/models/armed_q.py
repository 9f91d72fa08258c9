"""The network of NGU and Agent57: action values for every arm of a family of policies."""

from collections.abc import Sequence
from typing import Any, Self, final

from gymnasium import Space, spaces
from torch import Tensor

from rlpyt.data import NoState, RnnState
from rlpyt.models.base import Model
from rlpyt.models.dqn import DqnModel
from rlpyt.models.encoder import ImageTrunk
from rlpyt.models.mlp import Init, Nonlinearity
from rlpyt.models.rnn import RnnKind
from rlpyt.ops.arms import combined_value
from rlpyt.utils.collections import NamedArrayTuple

__all__ = ["Armed", "ArmedOutputs", "ArmedQModel", "ArmedRnnState"]


class Armed(NamedArrayTuple):
    """What the network observes."""

    arm: Tensor  # [...] int64: one-hot beside the observation
    observation: Any  # tree [..., *shape], of the environment


class ArmedOutputs(NamedArrayTuple):
    """Values of A actions, on the scale of h."""

    extrinsic: Tensor  # Q_e, [..., A]; not split: Q of r_e + β r_i
    intrinsic: Tensor | None = None  # Q_i, [..., A]


class ArmedRnnState(NamedArrayTuple):
    """What the networks remember, batch first."""

    extrinsic: RnnState | NoState
    intrinsic: RnnState | NoState | None = None


@final
class ArmedQModel(Model):
    """Q(s, a; j) of the observation and the arm j; ``split``: Q_e and Q_i, networks of their own.

    Observation, previous action and previous reward go in as in :class:`DqnModel`, the arm as
    one-hot beside the encoded observation. Build it with :meth:`from_spaces`.

    Args:
        extrinsic: Values of the reward, or of both rewards together.
        intrinsic: Values of the intrinsic reward.
    """

    def __init__(self, *, extrinsic: DqnModel, intrinsic: DqnModel | None) -> None:
        super().__init__()
        self.extrinsic = extrinsic
        self.intrinsic = intrinsic
        self.n_actions = extrinsic.n_actions

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_arms: int,
        split: bool,
        hidden_sizes: Sequence[int] | None = None,
        nonlinearity: Nonlinearity = "relu",
        image: ImageTrunk = "auto",
        dueling: bool = True,
        layer_norm: bool = False,
        recurrent: RnnKind = "lstm",
        rnn_size: int = 512,
        forget_bias: float = 0.0,
        init: Init = "default",
    ) -> Self:
        """Build for these spaces, Discrete actions; the rest as in :meth:`DqnModel.from_spaces`."""
        armed = spaces.Dict({"arm": spaces.Discrete(n_arms), "observation": observation_space})

        def network() -> DqnModel:
            return DqnModel.from_spaces(
                armed,
                action_space,
                hidden_sizes=hidden_sizes,
                nonlinearity=nonlinearity,
                image=image,
                dueling=dueling,
                layer_norm=layer_norm,
                recurrent=recurrent,
                rnn_size=rnn_size,
                forget_bias=forget_bias,
                init=init,
            )

        return cls(extrinsic=network(), intrinsic=network() if split else None)

    def forward(
        self,
        observation: Armed,
        prev_action: Any,
        prev_reward: Tensor,
        reset: Tensor,
        state: ArmedRnnState,
    ) -> tuple[ArmedOutputs, ArmedRnnState]:
        """Values and the next state, [B, ...] or [T, B, ...]."""
        inputs = (observation, prev_action, prev_reward, reset)
        extrinsic, after = self.extrinsic(*inputs, state.extrinsic)
        if self.intrinsic is None:
            return ArmedOutputs(extrinsic.values), ArmedRnnState(after)
        intrinsic, also_after = self.intrinsic(*inputs, state.intrinsic)
        return (
            ArmedOutputs(extrinsic.values, intrinsic.values),
            ArmedRnnState(after, also_after),
        )

    def action_values(self, outputs: ArmedOutputs, weight: Tensor, eps: float) -> Tensor:
        """What a policy of intrinsic weight β [...] ranks actions by, [..., A]; where not split the
        network's own values, which know their arm.
        """
        if outputs.intrinsic is None:
            return outputs.extrinsic
        return combined_value(outputs.extrinsic, outputs.intrinsic, weight, eps)

    def initial_state(self, B: int) -> ArmedRnnState:
        """Zeros for ``B`` environments."""
        return ArmedRnnState(
            self.extrinsic.initial_state(B),
            None if self.intrinsic is None else self.intrinsic.initial_state(B),
        )
