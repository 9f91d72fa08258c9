"""From an observation to features: normalise, encode, bottleneck or hidden layers, memory."""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

from gymnasium import Space
from torch import Tensor, nn

from rlpyt.data import NoState, RnnState
from rlpyt.models.convolutions import convolution_encoder
from rlpyt.models.encoder import Encoder, ImageTrunk
from rlpyt.models.memory import Memory
from rlpyt.models.mlp import Init, Mlp, Nonlinearity
from rlpyt.models.noisy import NoisyMlp
from rlpyt.models.normalize import ObservationNormalizer
from rlpyt.models.rnn import Recurrence, check_recurrence
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError

__all__ = ["Encoded", "Layers", "Trunk", "TrunkOptions", "check_memory", "trunk_for"]


class Encoded(NamedArrayTuple):
    """An observation as :meth:`Trunk.encode` leaves it, which trunks with the same encoder take in
    its place.
    """

    features: Tensor  # [..., size]
    action_mask: Any = None  # of the observation


class Layers(NamedTuple):
    """How every linear layer of a model is made."""

    nonlinearity: Nonlinearity
    init: Init
    noisy: bool
    layer_norm: bool = False  # before each nonlinearity, and behind each convolution; not if noisy

    def build(
        self, input_size: int, hidden_sizes: Sequence[int], output_size: int | None = None
    ) -> Mlp | NoisyMlp:
        """Layers [..., input_size] to [..., output_size], or to the last hidden one's output."""
        if self.noisy:
            return NoisyMlp(
                input_size, hidden_sizes, output_size, self.nonlinearity, init=self.init
            )
        return Mlp(
            input_size,
            hidden_sizes,
            output_size,
            self.nonlinearity,
            init=self.init,
            layer_norm=self.layer_norm,
        )


class TrunkOptions(NamedTuple):
    """What a trunk consists of besides its linear layers."""

    image: ImageTrunk  # how images are encoded
    recurrent: Recurrence  # which recurrent part, if any
    rnn_size: int  # length of its output
    normalize_observation: bool  # float vectors, by running statistics
    # Length of a bottleneck behind the encoder (linear layer, layer norm, tanh); None: none.
    feature_size: int | None = None
    forget_bias: float = 0.0  # added to that of an LSTM's forget gates


@final
class Trunk(nn.Module):
    """Features [..., feature_size] of an observation tree [..., *shape], and the next state.

    Args:
        encoder: Observation to numbers.
        body: Hidden layers over them.
        memory: The recurrent part behind.
        normalizer: Normalises observations first.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        body: Mlp | NoisyMlp | None,
        memory: Memory | None,
        normalizer: ObservationNormalizer | None,
    ) -> None:
        super().__init__()
        self.normalizer = normalizer
        self.encoder = encoder
        self.body = body
        self.memory = memory
        self.feature_size = encoder.feature_size if body is None else body.output_size
        if memory is not None:
            self.feature_size = memory.rnn.rnn.hidden_size

    @property
    def is_identity(self) -> bool:
        """Whether the features are the observation itself, so that the call can be left out."""
        parts = (self.body, self.memory, self.normalizer)
        return self.encoder.is_identity and parts == (None, None, None)

    def forward(
        self, observation: Any, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        """Features and next state; without memory the state as it came, and only the observation is
        looked at.
        """
        is_encoded = isinstance(observation, Encoded)
        features: Tensor = observation.features if is_encoded else self.encode(observation)
        if self.body is not None:
            features = self.body(features)
        if self.memory is not None:
            features, state = self.memory(features, prev_action, prev_reward, reset, state)
        return features, state

    def encode(self, observation: Any) -> Tensor:
        """What the encoder makes of a (normalised) observation tree, [..., size]."""
        if self.normalizer is not None:
            observation = self.normalizer(observation)
        features: Tensor = self.encoder(observation)
        return features

    def initial_state(self, B: int) -> RnnState | NoState:
        """Zeros for ``B`` environments, batch first; nothing without memory."""
        return NoState() if self.memory is None else self.memory.rnn.initial_state(B)


def trunk_for(
    observation_space: Space[Any],
    action_space: Space[Any],
    hidden_sizes: Sequence[int],
    layers: Layers,
    options: TrunkOptions,
) -> Trunk:
    """A trunk for these spaces; of image trunks the convolutions alone.

    Its layers have no noise: recorded states of a memory would depend on it, and noise in the
    features of everything drowns the values.

    Args:
        observation_space: What is observed; a top-level ``action_mask`` is left out.
        action_space: Of the previous action, where recurrent.
        hidden_sizes: Hidden layers after the encoder; may be empty.
        layers: How they are made; its ``init`` goes for all but the convolutions of ``"impala"``,
            which are always torch's.
        options: The rest.
    """
    image, recurrent, rnn_size, normalize_observation, feature_size, forget_bias = options
    encoder = convolution_encoder(observation_space, image, layer_norm=layers.layer_norm)
    size, memory = encoder.feature_size, None
    body: Mlp | NoisyMlp | None = None
    if feature_size is not None:
        assert not hidden_sizes  # a bottleneck takes their place
        if feature_size < 1:
            raise RlpytError("config", f"feature_size={feature_size}", hint="use 1 or more")
        body = Mlp(size, (feature_size,), init=layers.init, layer_norm=True)
        size = feature_size
    if hidden_sizes:
        body = layers._replace(noisy=False).build(size, hidden_sizes)
        size = body.output_size
    if recurrent != "none":
        memory = Memory(size, action_space, recurrent, rnn_size)
    if layers.init == "default":
        for part in (encoder, memory):
            _reset_parameters(part)
    if memory is not None and forget_bias:
        memory.rnn.add_forget_bias(forget_bias)
    normalizer = ObservationNormalizer(observation_space) if normalize_observation else None
    return Trunk(encoder=encoder, body=body, memory=memory, normalizer=normalizer)


def check_memory(recurrent: str, rnn_size: int, *, batch_renorm: bool) -> None:
    """Raise where an actor-critic's memory is unknown, too small, or under batch statistics."""
    check_recurrence(recurrent, rnn_size)
    if batch_renorm and recurrent != "none":
        what = f"batch_renorm and recurrent={recurrent!r} together"
        raise RlpytError("config", what, hint="choose one of them")


def _reset_parameters(part: nn.Module | None) -> None:
    """Start as torch does what the encoder and the memory made orthogonal."""
    for module in () if part is None else part.modules():
        if isinstance(module, nn.Conv2d | nn.LSTM | nn.GRU):
            module.reset_parameters()
