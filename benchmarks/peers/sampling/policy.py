"""Who acts for the peers: random actions drawn ahead, or a network of plain torch.

The network is that of our ``PgAgent``: for Pong the Nature CNN in channels_last memory with policy
and value on top, else two tanh networks of 64 x 64. As ours does, it gives log-probabilities and
value of each step, samples by noise drawn ahead, and runs in inference mode. Ours also records all
of it; for the peers nothing is kept.
"""

import math
from collections.abc import Callable
from itertools import cycle
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from peers.sampling.environments import drawn_actions
from peers.sampling.task import Task

__all__ = ["Act", "acting"]

Act = Callable[[np.ndarray[Any, Any]], Any]
"""Observations [n, ...] to actions [n, ...]."""

NOISE_STEPS = 1024


def acting(
    task: Task,
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    num_envs: int,
) -> Act:
    """Who acts for ``num_envs`` environments at a time."""
    if not task.policy:
        actions = cycle(drawn_actions(action_space, num_envs, task.seed))
        return lambda observation: next(actions)
    return _NetworkPolicy(task, observation_space, action_space, num_envs)


class _NetworkPolicy:
    """Samples from a categorical or a Gaussian distribution."""

    def __init__(
        self,
        task: Task,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        num_envs: int,
    ) -> None:
        torch.manual_seed(task.seed)
        self.device = torch.device(task.device)
        assert observation_space.shape is not None
        self.box = action_space if isinstance(action_space, spaces.Box) else None
        if self.box is not None:
            n_out = math.prod(self.box.shape)
        else:
            assert isinstance(action_space, spaces.Discrete)
            n_out = int(action_space.n)
        network = _nature if len(observation_space.shape) == 3 else _mlps
        self.trunk, self.policy, self.value = (
            part.to(self.device).requires_grad_(False)
            for part in network(observation_space.shape, n_out)
        )
        rng = np.random.default_rng(task.seed)
        shape = (NOISE_STEPS, num_envs, n_out)
        drawn = rng.gumbel(size=shape) if self.box is None else rng.standard_normal(shape)
        noise = torch.as_tensor(drawn, dtype=torch.float32, device=self.device)
        self.noise = cycle(noise.unbind(0))

    @torch.inference_mode()
    def __call__(self, observation: np.ndarray[Any, Any]) -> Any:
        features = self.trunk(torch.from_numpy(observation).to(self.device))
        params: Tensor = self.policy(features)
        self.value(features)
        noise = next(self.noise)
        if self.box is None:
            log_prob = torch.log_softmax(params, -1)
            return (log_prob + noise).argmax(-1).cpu().numpy()
        action = (params + noise).cpu().numpy()
        return np.clip(action, self.box.low, self.box.high).astype(self.box.dtype, copy=False)


class _ToFloat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.to(torch.float32)


class _Pixels(nn.Module):
    """Cast and change of memory layout in one pass; /255 is in the first layer's weights."""

    def forward(self, x: Tensor) -> Tensor:
        return x.to(torch.float32, memory_format=torch.channels_last)


class _Flatten(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def _nature(shape: tuple[int, ...], n_out: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    first = nn.Conv2d(shape[0], 32, 8, 4)
    with torch.no_grad():
        first.weight /= 255
    convs = (first, nn.ReLU(True), nn.Conv2d(32, 64, 4, 2), nn.ReLU(True), nn.Conv2d(64, 64, 3))
    head = (nn.ReLU(True), _Flatten(), nn.Linear(3136, 512), nn.ReLU(True))
    trunk = nn.Sequential(_Pixels(), *convs, *head)
    trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
    return trunk, nn.Linear(512, n_out), nn.Linear(512, 1)


class _Mlp(nn.Module):
    """Two tanh layers of 64, without a module call for each: those would cost more than they do."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        layers = (nn.Linear(n_in, 64), nn.Linear(64, 64), nn.Linear(64, n_out))
        self.layers = nn.ModuleList(layers)
        self.arrays = [(layer.weight, layer.bias) for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.arrays
        x = functional.linear(x, *first).tanh_()
        x = functional.linear(x, *second).tanh_()
        return functional.linear(x, *last)


def _mlps(shape: tuple[int, ...], n_out: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return _ToFloat(), _Mlp(shape[0], n_out), _Mlp(shape[0], 1)
