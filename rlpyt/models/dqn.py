"""The model of every Q-learning agent: action values or distributions, for any observation."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal, Self, final, get_args

import numpy as np
from gymnasium import Space, spaces
from torch import Tensor, nn

from rlpyt.data import NoState, RnnState
from rlpyt.models.base import Model
from rlpyt.models.conv2d import is_image
from rlpyt.models.dueling import q_head
from rlpyt.models.encoder import ImageTrunk, encoded_items
from rlpyt.models.mlp import Init, Nonlinearity
from rlpyt.models.noisy import has_noise, resample_noise, without_noise
from rlpyt.models.quantile import CosineEmbedding
from rlpyt.models.rnn import Recurrence, check_recurrence
from rlpyt.models.trunk import Layers, Trunk, TrunkOptions, trunk_for
from rlpyt.ops.quantile import quantile_midpoints
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError, did_you_mean
from rlpyt.utils.world import World

__all__ = ["DqnModel", "QHead", "QOutputs"]

QHead = Literal["q", "categorical", "quantile", "implicit"]
"""What is known of each action's return: its mean (DQN), probabilities of fixed values (C51),
quantiles at fixed fractions (QR-DQN), or quantiles at any fractions (IQN)."""

_HIDDEN_SIZES: Final = (128, 128)
_IMAGE_HIDDEN_SIZES: Final = (512,)  # Mnih et al. 2015


class QOutputs(NamedArrayTuple):
    """What a Q-learning model returns for A actions."""

    # [..., A] action values; categorical: [..., A, n_atoms] log-probabilities; quantile and
    # implicit: [..., A, n] quantiles
    values: Tensor
    fractions: Tensor | None = None  # implicit: [..., n], where the quantiles are


@final
class DqnModel(Model):
    """Action values of an observation tree [..., *shape], or distributions of return
    (:data:`QHead`).

    Feed-forward: ``prev_action``, ``prev_reward`` and ``reset`` are not used and any leading
    dimensions will do. Recurrent: [B] or [T, B], told by ``reset``; previous action (one-hot) and
    previous reward join the features, as in R2D2 (Kapturowski et al. 2019). Build it with
    :meth:`from_spaces`.

    Args:
        trunk: Observation to features.
        head: Features, fractions taken in where implicit, to [..., n_actions * n] numbers.
        kind: What the numbers are.
        n_actions: A.
        n_outputs: Numbers for each action; implicit: quantiles where no fractions are given.
        embedding: Takes in the fractions, where implicit; else ``None``.
    """

    def __init__(
        self,
        *,
        trunk: Trunk,
        head: nn.Module,
        kind: QHead,
        n_actions: int,
        n_outputs: int,
        embedding: CosineEmbedding | None,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.embedding = embedding
        self.head = head
        self.kind = kind
        self.n_actions = n_actions
        self.n_outputs = n_outputs
        self.reads_previous = trunk.memory is not None
        self._is_plain = trunk.is_identity
        self.is_noisy = has_noise(self)  # looked for once: it is asked at every step

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        hidden_sizes: Sequence[int] | None = None,
        nonlinearity: Nonlinearity = "relu",
        image: ImageTrunk = "auto",
        dueling: bool = False,
        noisy: bool = False,
        layer_norm: bool = False,
        head: QHead = "q",
        n_atoms: int = 51,
        n_quantiles: int = 200,
        recurrent: Recurrence = "none",
        rnn_size: int = 512,
        forget_bias: float = 0.0,
        n_cosines: int = 64,
        normalize_observation: bool = False,
        init: Init = "default",
    ) -> Self:
        """Build for these spaces, Discrete actions. On images the defaults are Mnih et al. 2015.

        ``hidden_sizes`` follow the encoded observation, convolutions without a linear layer for
        images; ``None``: (512,) with images, else (128, 128). The last layer is each stream's own
        with ``dueling``, and stands behind the fractions where implicit. With ``recurrent`` all
        stand before the memory (output ``rnn_size``), the last one once more behind it; an LSTM's
        forget gates start with ``forget_bias`` more. ``noisy``: the last hidden layer and the
        output have noise (:meth:`resample`), as in Rainbow. ``head`` gives ``n_atoms``
        log-probabilities, ``n_quantiles`` quantiles, or those at fractions that ``n_cosines`` stand
        for. ``normalize_observation``: float vectors by running statistics, clipped to ±10.
        ``layer_norm``: before each hidden nonlinearity. ``init``: torch's, or orthogonal.

        Raises:
            RlpytError: for another action space, an unknown option, or a size below 1.
        """
        hidden_sizes = _hidden_sizes(observation_space, image, hidden_sizes)
        sizes = (*hidden_sizes, n_atoms, n_quantiles, n_cosines)
        n_actions = _check(action_space, head, recurrent, rnn_size, init, sizes)
        implicit = head == "implicit"
        before, behind = _split(hidden_sizes, dueling or implicit or noisy, recurrent != "none")
        if noisy and layer_norm:
            raise RlpytError("config", "noisy and layer_norm together", hint="choose one of them")
        layers = Layers(nonlinearity, init, noisy, layer_norm)
        options = TrunkOptions(image, recurrent, rnn_size, normalize_observation, None, forget_bias)
        trunk = trunk_for(observation_space, action_space, before, layers, options)
        size, n = trunk.feature_size, {"categorical": n_atoms, "quantile": n_quantiles}.get(head, 1)
        return cls(
            trunk=trunk,
            head=q_head(size, behind, n_actions, n, layers=layers, dueling=dueling),
            kind=head,
            n_actions=n_actions,
            n_outputs=n_quantiles if implicit else n,
            embedding=CosineEmbedding(size, n_cosines, init=init) if implicit else None,
        )

    def forward(
        self,
        observation: Any,
        prev_action: Any,
        prev_reward: Tensor,
        reset: Tensor,
        state: Any,
        fractions: Tensor | None = None,
    ) -> tuple[QOutputs, Any]:
        """Values, and the next state (as it came where feed-forward).

        ``fractions`` is for the implicit head: [..., n], or [n] for all alike; ``None``: the
        midpoints of ``n_quantiles`` equal parts of [0, 1].
        """
        features = observation
        if not self._is_plain:
            features, state = self.trunk(observation, prev_action, prev_reward, reset, state)
        if self.embedding is not None:
            return self._implicit(self.embedding, features, fractions), state
        values = self.head(features)
        if self.kind != "q":
            values = values.unflatten(-1, (self.n_actions, self.n_outputs))
        if self.kind == "categorical":
            values = values.log_softmax(-1)
        return QOutputs(values), state

    def _implicit(
        self, embedding: CosineEmbedding, features: Tensor, fractions: Tensor | None
    ) -> QOutputs:
        if fractions is None:
            fractions = quantile_midpoints(self.n_outputs, device=features.device)
        values = self.head(embedding(features, fractions)).transpose(-1, -2)
        return QOutputs(values, fractions.expand(*features.shape[:-1], -1))

    def action_values(self, outputs: QOutputs, support: Tensor | None = None) -> Tensor:
        """Q, [..., A]: the mean of each action's return, whatever the head.

        Args:
            outputs: What :meth:`forward` returned.
            support: [n_atoms], the values that the categorical head gives log-probabilities of;
                others do not look at it.

        Raises:
            RlpytError: for a categorical head without ``support``.
        """
        values = outputs.values
        if self.kind == "q":
            return values
        if self.kind != "categorical":
            return values.mean(-1)
        if support is None:
            raise RlpytError(
                "config",
                'head="categorical": log-probabilities alone have no mean',
                hint="give action_values the support, a tensor [n_atoms]",
            )
        return values.exp() @ support

    def resample(self, rng: np.random.Generator) -> None:
        """Draw new noise for all noisy layers, in place: before a forward pass, never between it
        and its backward pass. Nothing where there are none.
        """
        if self.is_noisy:
            resample_noise(self, rng)

    def without_noise(self) -> AbstractContextManager[None]:
        """A context in which noisy layers compute by their means alone."""
        return without_noise(self) if self.is_noisy else nullcontext()

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


def _check(
    action_space: Space[Any],
    head: str,
    recurrent: str,
    rnn_size: int,
    init: str,
    sizes: Sequence[int],
) -> int:
    """The number of actions, where all is as it should be."""
    if not isinstance(action_space, spaces.Discrete):
        raise RlpytError(
            "space",
            f"Q-learning takes the best of n actions; the action space is {action_space}",
            where="action space",
            hint="wrap the environment so that its actions are Discrete, or choose ppo",
        )
    check_recurrence(recurrent, rnn_size)
    for name, value, known in (
        ("head", head, get_args(QHead)),
        ("init", init, get_args(Init)),
    ):
        if value not in known:
            raise RlpytError(
                "config", f"{name}={value!r} is not known", hint=did_you_mean(value, known)
            )
    if min(sizes) < 1:
        raise RlpytError(
            "config",
            f"hidden sizes, n_atoms, n_quantiles, n_cosines: {list(sizes)}",
            hint="use 1 or more for each",
        )
    return int(action_space.n)


def _hidden_sizes(
    observation_space: Space[Any], image: ImageTrunk, hidden_sizes: Sequence[int] | None
) -> tuple[int, ...]:
    if hidden_sizes is not None:
        return tuple(hidden_sizes)
    leaves = [leaf for _path, leaf in encoded_items(observation_space)]
    has_trunk = image != "flatten" and any(map(is_image, leaves))
    return _IMAGE_HIDDEN_SIZES if has_trunk else _HIDDEN_SIZES


def _split(
    hidden_sizes: tuple[int, ...], is_split: bool, has_memory: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Hidden layers of the trunk and of the head."""
    if has_memory:
        return hidden_sizes, hidden_sizes[-1:]
    return (hidden_sizes[:-1], hidden_sizes[-1:]) if is_split else ((), hidden_sizes)
