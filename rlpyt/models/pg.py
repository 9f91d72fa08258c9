"""The model of every policy-gradient agent: policy parameters and state value, for any spaces."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Self, final

from gymnasium import Space
from torch import Tensor, nn

from rlpyt.data import NoState, RnnState
from rlpyt.models.base import Model, PgOutputs
from rlpyt.models.conv2d import is_image
from rlpyt.models.encoder import Encoder, ImageTrunk, encoded_items, encoder_for
from rlpyt.models.memory import Memory
from rlpyt.models.mlp import Mlp, Nonlinearity
from rlpyt.models.normalize import ObservationNormalizer
from rlpyt.models.policy_head import policy_head
from rlpyt.models.rnn import Recurrence, check_recurrence
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

__all__ = ["PgModel"]

_VALUE_GAIN = 1.0
_HIDDEN_SIZES = (64, 64)


@final
class PgModel(Model):
    """Policy parameters [..., param_size] and value [...] of an observation tree [..., *shape].

    Feed-forward: ``prev_action``, ``prev_reward`` and ``reset`` are not used and any leading
    dimensions will do. Recurrent: [B] or [T, B], told by ``reset``; previous action (one-hot where
    discrete) and previous reward join the features. A continuous action's log_std is a parameter
    of its own. Build it with :meth:`from_spaces`.

    Args:
        encoder: Observation to features.
        policy: Features to policy parameters.
        value_head: Features to value [..., 1].
        value_encoder: The value's own encoder; ``None``: it shares ``encoder``.
        normalizer: Normalises observations first.
        memory: The recurrent part, after ``encoder``.
        intrinsic_head: As ``value_head``, of intrinsic returns.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        policy: nn.Module,
        value_head: Mlp,
        value_encoder: Encoder | None = None,
        normalizer: ObservationNormalizer | None = None,
        memory: Memory | None = None,
        intrinsic_head: Mlp | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.policy = policy
        self.value_head = value_head
        self.value_encoder = value_encoder
        self.normalizer = normalizer
        self.memory = memory
        self.intrinsic_head = intrinsic_head
        parts = (value_encoder, normalizer, memory)
        self._is_plain = encoder.is_identity and parts == (None, None, None)
        self.reads_previous = memory is not None
        self.has_intrinsic_value = intrinsic_head is not None
        self.value_is_separate = memory is None and (
            value_encoder is not None or encoder.is_identity
        )

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        hidden_sizes: Sequence[int] | None = None,
        nonlinearity: Nonlinearity = "tanh",
        shared_trunk: bool | None = None,
        image: ImageTrunk = "auto",
        recurrent: Recurrence = "none",
        rnn_size: int = 128,
        init_log_std: float = 0.0,
        mean_tanh: bool = False,
        normalize_observation: bool = False,
        observation_clip: float = 10.0,
        intrinsic_value: bool = False,
    ) -> Self:
        """Build for these spaces, orthogonally: gain sqrt 2, policy head 0.01, value head 1.

        Args:
            observation_space: What is observed; a top-level ``action_mask`` is left out.
            action_space: What is done.
            hidden_sizes: Hidden layers; ``None``: (64, 64), but none after a lone image's trunk.
            nonlinearity: Between hidden layers.
            shared_trunk: Whether policy and value share all but their last layer; ``None``: where
                there are images or a recurrent part.
            image: How images are encoded.
            recurrent: Which recurrent part, if any.
            rnn_size: Length of its output.
            init_log_std: First logarithm of continuous actions' standard deviation.
            mean_tanh: Whether the mean of Box actions goes through a tanh, as in rlpyt 0.1.
            normalize_observation: Normalise float vectors (:meth:`update_normalizer`).
            observation_clip: Bound of a normalised observation, in standard deviations.
            intrinsic_value: Whether intrinsic returns have a value of their own.

        Raises:
            RlpytError: for an unknown space or option, or options that do not fit together.
        """
        plan = _plan(observation_space, hidden_sizes, shared_trunk, image, recurrent, rnn_size)
        body, head = (plan.hidden_sizes, ()) if plan.is_shared else ((), plan.hidden_sizes)
        encode = partial(encoder_for, observation_space, nonlinearity=nonlinearity, image=image)
        encoder = encode(hidden_sizes=body)
        memory, size = None, encoder.feature_size
        if recurrent != "none":
            memory, size = Memory(size, action_space, recurrent, rnn_size), rnn_size
        normalizer = ObservationNormalizer(observation_space, clip=observation_clip)
        policy = policy_head(
            size, action_space, head, nonlinearity, init_log_std, mean_tanh=mean_tanh
        )
        values = _values(1 + intrinsic_value, size, head, nonlinearity)
        separate = plan.has_images and not plan.is_shared
        return cls(
            encoder=encoder,
            policy=policy,
            value_head=values[0],
            value_encoder=encode(hidden_sizes=body) if separate else None,
            normalizer=normalizer if normalize_observation else None,
            memory=memory,
            intrinsic_head=values[-1] if intrinsic_value else None,
        )

    def forward(
        self, observation: Any, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> tuple[PgOutputs, Any]:
        """Policy parameters and value, and the next state (as it came where feed-forward)."""
        if self._is_plain:
            features = value_features = observation
        else:
            observation = self._normalized(observation)
            features, state = self._features(observation, prev_action, prev_reward, reset, state)
            own = self.value_encoder
            value_features = features if own is None else own(observation)
        value = self.value_head(value_features).squeeze(-1)
        own_head = self.intrinsic_head
        intrinsic = None if own_head is None else own_head(value_features).squeeze(-1)
        return PgOutputs(self.policy(features), value, intrinsic), state

    def policy_params(self, observation: Any) -> Tensor:
        """Policy parameters [..., param_size] alone, of a feed-forward model."""
        if not self._is_plain:
            observation = self.encoder(self._normalized(observation))
        params: Tensor = self.policy(observation)
        return params

    def value(
        self, observation: Any, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> Tensor:
        """The value [...] alone, without the policy's part of the work."""
        observation = self._normalized(observation)
        if self.value_encoder is not None:
            features = self.value_encoder(observation)
        else:
            features, _state = self._features(observation, prev_action, prev_reward, reset, state)
        value: Tensor = self.value_head(features).squeeze(-1)
        return value

    def update_normalizer(
        self, observation: Any, valid: Tensor | None = None, world: World | None = None
    ) -> None:
        """Take an observation tree [T, B, ...], where ``valid`` [T, B], of all processes in
        ``world`` into any statistics.
        """
        if self.normalizer is not None:
            self.normalizer.update(observation, valid, world)

    def initial_state(self, B: int) -> RnnState | NoState:
        """Zeros for ``B`` environments, batch first; nothing where feed-forward."""
        return NoState() if self.memory is None else self.memory.rnn.initial_state(B)

    def _normalized(self, observation: Any) -> Any:
        return observation if self.normalizer is None else self.normalizer(observation)

    def _features(
        self, observation: Any, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        features = self.encoder(observation)
        if self.memory is not None:
            features, state = self.memory(features, prev_action, prev_reward, reset, state)
        return features, state


def _values(
    count: int, input_size: int, hidden_sizes: Sequence[int], nonlinearity: Nonlinearity
) -> list[Mlp]:
    """Networks from features to a value [..., 1]."""
    return [
        Mlp(input_size, hidden_sizes, 1, nonlinearity, output_gain=_VALUE_GAIN)
        for _ in range(count)
    ]


class _Plan(NamedTuple):
    """What is left to decide where options are ``None``."""

    hidden_sizes: tuple[int, ...]
    is_shared: bool
    has_images: bool


def _plan(
    observation_space: Space[Any],
    hidden_sizes: Sequence[int] | None,
    shared_trunk: bool | None,
    image: ImageTrunk,
    recurrent: str,
    rnn_size: int,
) -> _Plan:
    check_recurrence(recurrent, rnn_size)
    if recurrent != "none" and shared_trunk is False:
        raise RlpytError(
            "config",
            f"shared_trunk=False with recurrent={recurrent!r}: policy and value share the memory",
            hint='leave shared_trunk out, or choose recurrent="none"',
        )
    leaves = [leaf for _path, leaf in encoded_items(observation_space)]
    n_images = 0 if image == "flatten" else sum(map(is_image, leaves))
    if shared_trunk is None:
        shared_trunk = n_images > 0 or recurrent != "none"
    if hidden_sizes is not None and any(size < 1 for size in hidden_sizes):
        raise RlpytError("config", f"hidden_sizes={list(hidden_sizes)}", hint="use 1 or more")
    if hidden_sizes is None:
        hidden_sizes = () if n_images == len(leaves) == 1 else _HIDDEN_SIZES
    return _Plan(tuple(hidden_sizes), shared_trunk, n_images > 0)
