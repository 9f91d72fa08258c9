"""The policy of off-policy actor-critic algorithms: what an action is made of, for any
observation.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self, final, get_args

from gymnasium import Space, spaces
from torch import Tensor, nn

from rlpyt.data import NoState, RnnState
from rlpyt.models.action_scale import ActionScale
from rlpyt.models.base import Model
from rlpyt.models.batched import BatchedMlp
from rlpyt.models.encoder import ImageTrunk
from rlpyt.models.mlp import Init, Nonlinearity
from rlpyt.models.rnn import Recurrence
from rlpyt.models.trunk import Layers, Trunk, TrunkOptions, check_memory, trunk_for
from rlpyt.utils.errors import RlpytError, did_you_mean
from rlpyt.utils.world import World

__all__ = ["PolicyKind", "PolicyModel"]

PolicyKind = Literal["deterministic", "gaussian", "categorical"]
"""One action (DDPG, TD3), a squashed Gaussian (SAC), or probabilities of Discrete actions."""


@final
class PolicyModel(Model):
    """Policy parameters [..., param_size] of an observation tree [..., *shape], for any leading
    dimensions; ``prev_action``, ``prev_reward`` and ``reset`` are used with a memory only.

    ===============  ==========================================================
    deterministic    the unit action before its tanh, [..., dim]
    gaussian         mean and log_std, as the distribution reads, [..., 2 dim]
    categorical      logits, [..., A]
    ===============  ==========================================================

    Build it with :meth:`from_spaces`.

    Args:
        trunk: Observation to features.
        head: Features to parameters; a BatchedMlp of one network where batch renormalised.
        kind: What the parameters are.
    """

    def __init__(self, *, trunk: Trunk, head: nn.Module, kind: PolicyKind) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.kind = kind
        self.reads_previous = trunk.memory is not None
        self._is_plain = trunk.is_identity
        self.batch_renorm = isinstance(head, BatchedMlp)

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        kind: PolicyKind,
        *,
        hidden_sizes: Sequence[int] = (256, 256),
        nonlinearity: Nonlinearity = "relu",
        layer_norm: bool = False,
        batch_renorm: bool = False,
        init: Init = "default",
        image: ImageTrunk = "auto",
        feature_size: int | None = None,
        normalize_observation: bool = False,
        recurrent: Recurrence = "none",
        rnn_size: int = 256,
    ) -> Self:
        """Build for these spaces.

        Args:
            observation_space: What is observed; a top-level ``action_mask`` is left out.
            action_space: Box, or Discrete where ``kind`` is categorical.
            kind: What the policy is.
            hidden_sizes: Hidden layers over the features.
            nonlinearity: Between them.
            layer_norm: Before each nonlinearity.
            batch_renorm: On the input and behind each nonlinearity, as in CrossQ.
            init: How weights start: as torch's do, or orthogonal.
            image: How images are encoded: convolutions without a linear layer.
            feature_size: Length of a bottleneck behind the encoder (a linear layer, layer
                normalisation, tanh), as in DrQ-v2; ``None`` for none.
            normalize_observation: Normalise float vectors by running statistics
                (:meth:`update_normalizer`).
            recurrent: A memory over the encoded observation, the previous action and the previous
                reward, in front of the hidden layers.
            rnn_size: Length of its output.

        Raises:
            RlpytError: for an action space that ``kind`` is not for, an unknown option, a size
                below 1, or batch renormalisation with a memory.
        """
        param_size = _param_size(action_space, kind)
        if min(hidden_sizes, default=1) < 1:
            raise RlpytError("config", f"hidden_sizes={list(hidden_sizes)}", hint="use 1 or more")
        check_memory(recurrent, rnn_size, batch_renorm=batch_renorm)
        layers = Layers(nonlinearity, init, False, layer_norm)
        options = TrunkOptions(image, recurrent, rnn_size, normalize_observation, feature_size)
        trunk = trunk_for(observation_space, action_space, (), layers, options)
        size = trunk.feature_size
        if not batch_renorm:
            return cls(trunk=trunk, head=layers.build(size, hidden_sizes, param_size), kind=kind)
        sizes = (size, hidden_sizes, param_size)
        head = BatchedMlp(
            1, *sizes, nonlinearity, layer_norm=layer_norm, batch_renorm=True, init=init
        )
        return cls(trunk=trunk, head=head, kind=kind)

    def forward(
        self,
        observation: Any,
        prev_action: Any,
        prev_reward: Tensor,
        reset: Tensor,
        state: Any,
        train: bool = False,
    ) -> tuple[Tensor, Any]:
        """Policy parameters, and the next state (as it came where feed-forward).

        ``train``: with ``batch_renorm``, by the batch's statistics, and take them in.
        """
        features = observation
        if not self._is_plain:
            features, state = self.trunk(observation, prev_action, prev_reward, reset, state)
        if not self.batch_renorm:
            return self.head(features), state
        params = self.head(features.reshape(-1, features.shape[-1]), train)
        return params.reshape(*features.shape[:-1], params.shape[-1]), state

    def update_normalizer(
        self, observation: Any, valid: Tensor | None = None, world: World | None = None
    ) -> None:
        """Take an observation tree [T, B, ...], where ``valid`` [T, B], of all processes in
        ``world`` into any statistics.
        """
        if self.trunk.normalizer is not None:
            self.trunk.normalizer.update(observation, valid, world)

    def initial_state(self, B: int) -> RnnState | NoState:
        """Zeros for ``B`` environments, batch first; nothing where feed-forward."""
        return self.trunk.initial_state(B)


def _param_size(action_space: Space[Any], kind: PolicyKind) -> int:
    """Numbers that stand for one action's distribution."""
    if kind not in get_args(PolicyKind):
        hint = did_you_mean(kind, get_args(PolicyKind))
        raise RlpytError("config", f"policy={kind!r} is not known", hint=hint)
    if kind == "categorical":
        if not isinstance(action_space, spaces.Discrete):
            raise RlpytError(
                "space",
                f"a categorical policy is over Discrete actions, found {action_space}",
                where="action space",
                hint="use policy='gaussian' or 'deterministic' for a Box",
            )
        return int(action_space.n)
    if isinstance(action_space, spaces.Discrete):
        raise RlpytError(
            "space",
            f"a {kind} policy is over a Box of actions, found {action_space}",
            where="action space",
            hint="use policy='categorical'",
        )
    dim = ActionScale(action_space).dim
    return dim if kind == "deterministic" else 2 * dim
