"""A policy-gradient model of two networks that share nothing, the policy's with one more head."""

from collections.abc import Sequence
from typing import Any, Literal, Self, final, get_args

import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt.envs.spaces import space_items
from rlpyt.models.base import Model, PgOutputs
from rlpyt.models.conv2d import is_image
from rlpyt.models.encoder import Encoder, ImageTrunk, encoder_for
from rlpyt.models.mlp import Mlp, Nonlinearity
from rlpyt.models.normalize import ObservationNormalizer
from rlpyt.models.policy_head import policy_head
from rlpyt.utils.errors import RlpytError, did_you_mean
from rlpyt.utils.world import World

__all__ = ["AuxiliaryHead", "DecoupledPgModel"]

AuxiliaryHead = Literal["advantage", "value"]
"""What the policy's network predicts beside the policy: the advantage of an action (DAAC), or the
value (PPG)."""

_HIDDEN_SIZES = (64, 64)


@final
class _PolicyNetwork(nn.Module):
    """Policy parameters, and one number more, from the same features; with ``action_encoder`` that
    number is of an action too.
    """

    def __init__(
        self, *, encoder: Encoder, policy: nn.Module, head: Mlp, action_encoder: Encoder | None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.policy = policy
        self.head = head
        self.action_encoder = action_encoder

    def forward(self, observation: Any, action: Any) -> tuple[Tensor, Tensor]:
        features = self.encoder(observation)
        seen = features
        if self.action_encoder is not None:
            seen = torch.cat([features, self.action_encoder(action)], dim=-1)
        return self.policy(features), self.head(seen).squeeze(-1)


@final
class _ValueNetwork(nn.Module):
    """V(s), [...]."""

    def __init__(self, *, encoder: Encoder, head: Mlp) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, observation: Any) -> Tensor:
        value: Tensor = self.head(self.encoder(observation))
        return value.squeeze(-1)


@final
class DecoupledPgModel(Model):
    """Policy parameters [..., param_size] and value [...] of an observation tree [..., *shape], by
    two networks without a common parameter; feed-forward.

    The policy's network has an auxiliary head, which acting leaves out
    (:meth:`policy_and_auxiliary`). Build it with :meth:`from_spaces`.

    Args:
        policy_network: Policy and auxiliary head; its parameters are an optimizer's of their own.
        value_network: The value; its parameters likewise.
        auxiliary: What the auxiliary head predicts.
        normalizer: Normalises observations first.
    """

    value_is_separate = True
    reads_previous = False

    def __init__(
        self,
        *,
        policy_network: _PolicyNetwork,
        value_network: _ValueNetwork,
        auxiliary: AuxiliaryHead,
        normalizer: ObservationNormalizer | None = None,
    ) -> None:
        super().__init__()
        self.policy_network = policy_network
        self.value_network = value_network
        self.auxiliary = auxiliary
        self.normalizer = normalizer

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        auxiliary: AuxiliaryHead = "value",
        hidden_sizes: Sequence[int] | None = None,
        nonlinearity: Nonlinearity = "tanh",
        image: ImageTrunk = "auto",
        init_log_std: float = 0.0,
        normalize_observation: bool = False,
        observation_clip: float = 10.0,
    ) -> Self:
        """Build for these spaces, orthogonally: gain sqrt 2, policy head 0.01, other heads 1.

        Args:
            observation_space: What is observed; a top-level ``action_mask`` is left out.
            action_space: What is done; decides the size of the policy's parameters.
            auxiliary: ``"advantage"`` of observation and action, or ``"value"`` of observations.
            hidden_sizes: Hidden layers of both networks; ``None``: (64, 64), but none after a lone
                image's trunk.
            nonlinearity: Between hidden layers.
            image: How images are encoded.
            init_log_std: First logarithm of continuous actions' standard deviation.
            normalize_observation: Normalise float vectors by running statistics
                (:meth:`update_normalizer`).
            observation_clip: Bound of a normalised observation, in standard deviations.

        Raises:
            RlpytError: for an unknown space or option.
        """
        if auxiliary not in get_args(AuxiliaryHead):
            hint = did_you_mean(auxiliary, get_args(AuxiliaryHead))
            raise RlpytError("config", f"auxiliary={auxiliary!r} is not known", hint=hint)
        sizes = _layers(observation_space, hidden_sizes, image)
        options: Any = {"nonlinearity": nonlinearity, "image": image}
        encoder, value_encoder = (
            encoder_for(observation_space, hidden_sizes=sizes, **options) for _ in range(2)
        )
        size, actions = encoder.feature_size, None
        if auxiliary == "advantage":
            actions = encoder_for(action_space, image="flatten")
        head_size = size + (0 if actions is None else actions.feature_size)
        normalizer = ObservationNormalizer(observation_space, clip=observation_clip)
        return cls(
            policy_network=_PolicyNetwork(
                encoder=encoder,
                policy=policy_head(size, action_space, (), nonlinearity, init_log_std),
                head=Mlp(head_size, (), 1),
                action_encoder=actions,
            ),
            value_network=_ValueNetwork(encoder=value_encoder, head=Mlp(size, (), 1)),
            auxiliary=auxiliary,
            normalizer=normalizer if normalize_observation else None,
        )

    def forward(
        self, observation: Any, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> tuple[PgOutputs, Any]:
        """Policy parameters and value; ``state`` as it came."""
        observation = self._normalized(observation)
        params = self.policy_network.policy(self.policy_network.encoder(observation))
        return PgOutputs(params, self.value_network(observation)), state

    def policy_params(self, observation: Any) -> Tensor:
        """Policy parameters [..., param_size] alone."""
        network = self.policy_network
        params: Tensor = network.policy(network.encoder(self._normalized(observation)))
        return params

    def policy_and_auxiliary(self, observation: Any, action: Any = None) -> tuple[Tensor, Tensor]:
        """Policy parameters [..., param_size], and what the auxiliary head predicts [...]: the
        advantage of ``action``, a tree [..., *action shape], or the value.
        """
        found: tuple[Tensor, Tensor]
        found = self.policy_network(self._normalized(observation), action)
        return found

    def value(
        self, observation: Any, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> Tensor:
        """The value [...] alone, of the value network."""
        value: Tensor = self.value_network(self._normalized(observation))
        return value

    def update_normalizer(
        self, observation: Any, valid: Tensor | None = None, world: World | None = None
    ) -> None:
        """Take an observation tree [T, B, ...], where ``valid`` [T, B], of all processes in
        ``world`` into any statistics.
        """
        if self.normalizer is not None:
            self.normalizer.update(observation, valid, world)

    def _normalized(self, observation: Any) -> Any:
        return observation if self.normalizer is None else self.normalizer(observation)


def _layers(
    observation_space: Space[Any], hidden_sizes: Sequence[int] | None, image: ImageTrunk
) -> tuple[int, ...]:
    """The hidden layers of both networks."""
    if hidden_sizes is None:
        leaves = [leaf for path, leaf in space_items(observation_space) if path != "action_mask"]
        is_lone_image = image != "flatten" and len(leaves) == 1 and is_image(leaves[0])
        return () if is_lone_image else _HIDDEN_SIZES
    if any(size < 1 for size in hidden_sizes):
        raise RlpytError("config", f"hidden_sizes={list(hidden_sizes)}", hint="use 1 or more")
    return tuple(hidden_sizes)
