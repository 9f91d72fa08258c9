"""The critics of off-policy actor-critic algorithms: n networks of one shape, computed as one."""

from collections.abc import Sequence
from typing import Any, Self, final

import torch
from gymnasium import Space, spaces
from torch import Tensor, nn

from rlpyt.data import AgentInputs, NoState, RnnState
from rlpyt.models.action_scale import ActionScale
from rlpyt.models.batched import BatchedMlp
from rlpyt.models.encoder import ImageTrunk
from rlpyt.models.mlp import Init, Nonlinearity
from rlpyt.models.rnn import Recurrence
from rlpyt.models.trunk import Layers, Trunk, TrunkOptions, check_memory, trunk_for
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

__all__ = ["CriticModel"]


@final
class CriticModel(nn.Module):
    """Q(s, a) of n critics, [n, ..., n_outputs], for any leading dimensions.

    Box actions: an action, in units of its bounds, joins the features of the observation. Discrete
    actions: none goes in, and the outputs are those of every action. Convolutions, a bottleneck and
    observation statistics are shared by the critics, all other layers are each one's own. Build it
    with :meth:`from_spaces`.

    Args:
        trunk: Observation to features.
        action_scale: Action to what joins them; ``None`` where Discrete.
        networks: The critics.
    """

    def __init__(
        self, *, trunk: Trunk, action_scale: ActionScale | None, networks: BatchedMlp
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.action_scale = action_scale
        self.networks = networks
        self.batch_renorm = len(networks.renorms) > 0
        self._is_plain = trunk.is_identity

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_critics: int = 2,
        n_outputs: int = 1,
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
            action_space: Box or Discrete; unbounded dimensions are taken as they are.
            n_critics: n.
            n_outputs: Numbers of each critic: 1, or the quantiles of a distribution of return.
            hidden_sizes: Hidden layers over features and action.
            nonlinearity: Between them.
            layer_norm: Before each nonlinearity.
            batch_renorm: On the input and behind each nonlinearity, as in CrossQ.
            init: How weights start: as torch's do, or orthogonal.
            image: How images are encoded: convolutions without a linear layer.
            feature_size: Length of a bottleneck behind the encoder (a linear layer, layer
                normalisation, tanh), as in DrQ-v2; the critics share it; ``None`` for none.
            normalize_observation: Normalise float vectors by running statistics
                (:meth:`update_normalizer`).
            recurrent: A memory over the encoded observation, the previous action and the previous
                reward, in front of the hidden layers; the critics share it.
            rnn_size: Length of its output.

        Raises:
            RlpytError: for another action space, an unknown option, a size below 1, distributions
                of return over Discrete actions, or batch renormalisation with a memory.
        """
        scale, n_outputs = _action_ends(action_space, n_outputs)
        check_memory(recurrent, rnn_size, batch_renorm=batch_renorm)
        layers = Layers(nonlinearity, init, False, layer_norm)
        options = TrunkOptions(image, recurrent, rnn_size, normalize_observation, feature_size)
        trunk = trunk_for(observation_space, action_space, (), layers, options)
        networks = BatchedMlp(
            n_critics,
            trunk.feature_size + (0 if scale is None else scale.dim),
            hidden_sizes,
            n_outputs,
            nonlinearity,
            layer_norm=layer_norm,
            batch_renorm=batch_renorm,
            init=init,
        )
        return cls(trunk=trunk, action_scale=scale, networks=networks)

    def forward(
        self,
        observation: Any,
        prev_action: Any,
        prev_reward: Tensor,
        reset: Tensor,
        state: Any,
        action: Tensor | None = None,
        *,
        train: bool = False,
    ) -> Tensor:
        """Q of an observation tree [..., *shape] and ``action`` [..., *shape] (``None`` where
        Discrete), [n, ..., n_outputs] (Discrete: [n, ..., A]).

        The inputs between are the memory's, and not used without one. ``train``: with
        ``batch_renorm``, by the batch's statistics, and take them in.
        """
        features = observation
        if not self._is_plain:
            features, _ = self.trunk(observation, prev_action, prev_reward, reset, state)
        if self.action_scale is not None:
            assert action is not None
            features = torch.cat([features, self.action_scale.to_unit(action)], dim=-1)
        if features.dim() == 2:
            return self._critics(features, train)
        outputs = self._critics(features.reshape(-1, features.shape[-1]), train)
        return outputs.reshape(outputs.shape[0], *features.shape[:-1], outputs.shape[-1])

    def next_state(self, inputs: AgentInputs, state: Any) -> Any:
        """The memory's state after these steps, [B, ...]; as it came without one."""
        return self.trunk(*inputs, state)[1]

    def initial_state(self, B: int) -> RnnState | NoState:
        """Zeros for ``B`` environments, batch first; nothing where feed-forward."""
        return self.trunk.initial_state(B)

    @property
    def recurrent(self) -> bool:
        """Whether there is a memory."""
        return self.trunk.memory is not None

    def _critics(self, features: Tensor, train: bool) -> Tensor:
        outputs: Tensor = self.networks(features, train)
        return outputs

    def update_normalizer(
        self, observation: Any, valid: Tensor | None = None, world: World | None = None
    ) -> None:
        """Take an observation tree [T, B, ...], where ``valid`` [T, B], of all processes in
        ``world`` into any statistics.
        """
        if self.trunk.normalizer is not None:
            self.trunk.normalizer.update(observation, valid, world)


def _action_ends(action_space: Space[Any], n_outputs: int) -> tuple[ActionScale | None, int]:
    """What a Box action goes in by, and how many numbers come out; Discrete: one of each action."""
    if not isinstance(action_space, spaces.Discrete):
        return ActionScale(action_space), n_outputs
    if n_outputs != 1:
        hint = "use n_outputs=1, or a DqnModel with head='quantile'"
        raise RlpytError("config", f"n_outputs={n_outputs} with {action_space}", hint=hint)
    return None, int(action_space.n)
