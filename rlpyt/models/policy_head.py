"""From features to the parameters of a policy over any action space."""

from collections.abc import Sequence
from typing import Any, final

import torch
from gymnasium import Space, spaces
from torch import Tensor, nn

from rlpyt.distributions.factory import distribution_for
from rlpyt.envs.spaces import space_items
from rlpyt.models.mlp import Mlp, Nonlinearity
from rlpyt.utils.errors import RlpytError

__all__ = ["policy_head"]

_POLICY_GAIN = 0.01  # a first policy close to uniform


@final
class _GaussianPolicy(nn.Module):
    """Policy parameters of which log_std, where continuous, does not depend on the observation."""

    order: Tensor | None

    def __init__(
        self, network: Mlp, init_log_std: Tensor, order: Sequence[int], mean_tanh: bool
    ) -> None:
        super().__init__()
        self.network = network
        self.mean_tanh = mean_tanh
        self.log_std = nn.Parameter(init_log_std)
        in_order = list(order) == list(range(len(order)))
        index = None if in_order else torch.tensor(order)
        self.register_buffer("order", index, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        head = self.network(features)
        if self.mean_tanh:
            head = head.tanh()
        params = torch.cat([head, self.log_std.expand(*head.shape[:-1], -1)], dim=-1)
        return params if self.order is None else params.index_select(-1, self.order)


def policy_head(
    input_size: int,
    action_space: Space[Any],
    hidden_sizes: Sequence[int],
    nonlinearity: Nonlinearity,
    init_log_std: float,
    *,
    mean_tanh: bool = False,
) -> Mlp | _GaussianPolicy:
    """The policy network; its output is laid out as ``distribution_for(action_space)`` reads it.

    Args:
        input_size: Length of the features.
        action_space: What is done.
        hidden_sizes: Hidden layers.
        nonlinearity: Between them.
        init_log_std: First logarithm of continuous actions' standard deviation.
        mean_tanh: Whether the mean goes through a tanh; for a Box alone.

    Raises:
        RlpytError: for ``mean_tanh`` with another action space.
    """
    if mean_tanh and not isinstance(action_space, spaces.Box):
        what = f"mean_tanh=True with actions {action_space}"
        raise RlpytError("config", what, hint="only a Box of actions has a mean")
    param_size = distribution_for(action_space).param_size
    is_log_std = _log_std_mask(action_space)
    assert len(is_log_std) == param_size
    n_log_std = sum(is_log_std)
    head_size = param_size - n_log_std
    network = Mlp(input_size, hidden_sizes, head_size, nonlinearity, output_gain=_POLICY_GAIN)
    if n_log_std == 0:
        return network
    head, log_std = iter(range(head_size)), iter(range(head_size, param_size))
    order = [next(log_std if flag else head) for flag in is_log_std]
    return _GaussianPolicy(network, torch.full((n_log_std,), init_log_std), order, mean_tanh)


def _log_std_mask(action_space: Space[Any]) -> list[bool]:
    """Which policy parameters are log_stds: the second half of every Box's."""
    mask = []
    for _path, leaf in space_items(action_space):
        size = distribution_for(leaf).param_size
        n_log_std = size // 2 if isinstance(leaf, spaces.Box) else 0
        mask += [False] * (size - n_log_std) + [True] * n_log_std
    return mask
