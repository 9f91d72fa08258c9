"""The dueling head: how good it is to be here, and how much better each action makes it (Wang et
al. 2016, arXiv:1511.06581).
"""

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from rlpyt.models.trunk import Layers

__all__ = ["Dueling", "q_head"]


@final
class Dueling(nn.Module):
    """Two streams to one output for each action, eq. 9; of distributions atom by atom, as Rainbow
    does (Hessel et al. 2018, arXiv:1710.02298).

        Q(s, a) = V(s) + A(s, a) - mean_b A(s, b)

    Differs from the paper: the gradient that enters the trunk is not scaled by 1/√2.

    Args:
        value: Features [..., F] to V, [..., n].
        advantage: Features [..., F] to A, [..., n_actions * n], all of an action's side by side.
        n_actions: How many actions.
    """

    def __init__(self, value: nn.Module, advantage: nn.Module, n_actions: int) -> None:
        super().__init__()
        self.value = value
        self.advantage = advantage
        self.n_actions = n_actions

    def forward(self, features: Tensor) -> Tensor:
        """[..., F] to [..., n_actions * n]."""
        value: Tensor = self.value(features)
        advantage: Tensor = self.advantage(features)
        advantage = advantage.reshape(*value.shape[:-1], self.n_actions, value.shape[-1])
        centred = advantage - advantage.mean(dim=-2, keepdim=True)
        return (value.unsqueeze(-2) + centred).flatten(-2)


def q_head(
    feature_size: int,
    hidden_sizes: Sequence[int],
    n_actions: int,
    n_outputs: int,
    *,
    layers: Layers,
    dueling: bool,
) -> nn.Module:
    """A network from features [..., feature_size] to [..., n_actions * n_outputs].

    Args:
        feature_size: Length of the features.
        hidden_sizes: Hidden layers, of each stream where dueling.
        n_actions: How many actions.
        n_outputs: How many numbers for each.
        layers: How they are made.
        dueling: Whether there are two streams.
    """
    network = layers.build(feature_size, hidden_sizes, n_actions * n_outputs)
    if not dueling:
        return network
    return Dueling(layers.build(feature_size, hidden_sizes, n_outputs), network, n_actions)
