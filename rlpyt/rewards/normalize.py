"""Observations and rewards on a common scale, by statistics of all that came before."""

import math
from typing import Any, Literal, final, get_args

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor, nn

from rlpyt.envs.spaces import space_items
from rlpyt.models.conv2d import image_layout, image_size, is_image
from rlpyt.models.normalize import RunningMeanStd
from rlpyt.ops.returns import reverse_linear_recurrence
from rlpyt.utils.buffer import leaf_at, replace_leaf
from rlpyt.utils.errors import RlpytError, did_you_mean
from rlpyt.utils.world import World

__all__ = [
    "ObservationStatistics",
    "RewardNorm",
    "RewardScale",
    "normalized_space",
    "observation_scaling",
]

RewardNorm = Literal["rms", "minmax", "none"]
"""How rewards are scaled: by their running deviation, to [0, 1] within each batch, or not."""

_CHUNK = 64  # images whose statistics are taken at once
_EPSILON = 1e-8
_LEAST_SPREAD = 0.1  # of the mean reward


def normalized_space(space: Space[Any], last_channels: int | None = None) -> Space[Any]:
    """What :class:`ObservationStatistics` makes of ``space``: every Box is of floats, and those
    that were images are images still, which an encoder does not scale again.
    """
    if isinstance(space, spaces.Dict):
        children = {name: normalized_space(s, last_channels) for name, s in space.spaces.items()}
        return spaces.Dict(children)
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([normalized_space(leaf, last_channels) for leaf in space.spaces])
    if not isinstance(space, spaces.Box):
        return space
    if is_image(space):
        part = _part(space, last_channels)
        shape = np.empty(space.shape)[part].shape
        return spaces.Box(0.0, 1.0, shape if len(shape) == 3 else (1, *shape), np.float32)
    return spaces.Box(-math.inf, math.inf, space.shape, np.float32)


def _part(space: spaces.Box, last_channels: int | None) -> tuple[Any, ...]:
    """An index of the last channels of an image; of all else where it is none, or ``None``."""
    if last_channels is None or not is_image(space) or len(space.shape) == 2:
        return (...,)
    if not 1 <= last_channels <= image_size(space.shape)[0]:
        what = f"last_channels={last_channels} of an image of shape {space.shape}"
        raise RlpytError("config", what, hint="use 1 or more, and no more than it has")
    behind = (slice(None),) * (2 if image_layout(space.shape) == "CHW" else 0)
    return (..., slice(-last_channels, None), *behind)


@final
class ObservationStatistics(nn.Module):
    """(o - μ) / σ, clipped to ±``clip``, of each number of an observation, images too, as random
    networks need it (RND, section 2.4).

    μ and σ are of everything seen so far. Indices, flags and a top-level ``action_mask`` pass
    through. The outcome is of :func:`normalized_space`.

    Args:
        observation_space: The space whose trees [..., *shape] come in.
        clip: Bound on the normalised numbers.
        last_channels: How many channels of an image are used, the last ones: 1 is the newest
            of several grey frames. ``None``: all.
    """

    def __init__(
        self, observation_space: Space[Any], *, clip: float = 5.0, last_channels: int | None = None
    ) -> None:
        super().__init__()
        self.clip = clip
        items = [
            (path, leaf)
            for path, leaf in space_items(observation_space)
            if isinstance(leaf, spaces.Box) and path != "action_mask"
        ]
        self.paths = [tuple(path.split(".")) if path else () for path, _leaf in items]
        self.is_flat = [is_image(leaf) and len(leaf.shape) == 2 for _path, leaf in items]
        self.parts = [_part(leaf, last_channels) for _path, leaf in items]
        shapes = [
            np.empty(leaf.shape)[part].shape
            for (_path, leaf), part in zip(items, self.parts, strict=True)
        ]
        self.statistics = nn.ModuleList(map(RunningMeanStd, shapes))

    def forward(self, observation: Any) -> Any:
        """The observation tree [..., *shape] normalised."""
        for path, part, is_flat, statistics in zip(
            self.paths, self.parts, self.is_flat, self.statistics, strict=True
        ):
            assert isinstance(statistics, RunningMeanStd)
            scale = (statistics.var + _EPSILON).rsqrt().to(torch.float32)
            # In place: with images, fresh memory takes longer than the arithmetic.
            leaf = leaf_at(observation, path)[part].to(torch.float32, copy=True)
            leaf.sub_(statistics.mean.to(torch.float32)).mul_(scale).clamp_(-self.clip, self.clip)
            observation = replace_leaf(observation, path, leaf.unsqueeze(-3) if is_flat else leaf)
        return observation

    def update(self, observation: Any, valid: Tensor | None, world: World) -> None:
        """Take in an observation tree [T, B, ...] where ``valid`` [T, B], of all processes in
        ``world``.
        """
        keep = None if valid is None else valid.flatten()
        for path, part, statistics in zip(self.paths, self.parts, self.statistics, strict=True):
            assert isinstance(statistics, RunningMeanStd)
            batch = leaf_at(observation, path)[part].flatten(0, 1)
            if batch.dtype == torch.uint8 and batch.dim() > 2:
                count, mean, var = world.combine(*_byte_statistics(batch, keep))
                statistics.merge(count, mean, var)
            else:
                statistics.update(batch, keep, world)


def _byte_statistics(batch: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Number [], mean and variance [...] of images [N, ...] of bytes, where ``keep`` [N].

    By sums of whole numbers, which are exact in float32 for a few hundred images.
    """
    total = torch.zeros(batch.shape[1:], dtype=torch.float64, device=batch.device)
    squares = torch.zeros_like(total)
    for start in range(0, len(batch), _CHUNK):
        rows = batch[start : start + _CHUNK].to(torch.float32)
        if keep is not None:
            rows *= keep[start : start + _CHUNK].reshape(-1, *[1] * (rows.dim() - 1))
        total += rows.sum(0)
        squares += rows.square_().sum(0)
    count = total.new_tensor(len(batch)) if keep is None else keep.sum(dtype=torch.float64)
    mean = total / count.clamp(min=1)
    return count, mean, squares / count.clamp(min=1) - mean.square()


def observation_scaling(
    observation_space: Space[Any], normalize_observation: bool, last_channels: int | None = None
) -> tuple[ObservationStatistics | None, Space[Any]]:
    """The statistics of observations where they are to be normalised, and the space that networks
    see.
    """
    if not normalize_observation:
        return None, observation_space
    statistics = ObservationStatistics(observation_space, last_channels=last_channels)
    return statistics, normalized_space(observation_space, last_channels)


@final
class RewardScale(nn.Module):
    """Rewards r [T, B] on a common scale.

    ``"rms"``: r / σ. σ is the running deviation of r, or, with a ``discount``, of the return
    G_t = γ G_{t-1} + r_t of each environment, through the ends of episodes (RND, section 2.4). Its
    least is a tenth of the rewards' running mean μ, so that constant rewards become 10:

        r̂ = r / max(σ, |μ| / 10)

    ``"minmax"``: (r - min) / (max - min) of the batch; 0 where all are equal. ``"none"``: r.

    Args:
        mode: Which of them.
        discount: γ of the return; ``None``: the deviation of the rewards themselves.
        n_envs: B, with a discount: the return is followed from batch to batch.

    Raises:
        RlpytError: for an unknown mode, or a discount outside [0, 1).
    """

    open_return: Tensor

    def __init__(self, mode: RewardNorm, *, discount: float | None = None, n_envs: int = 1) -> None:
        super().__init__()
        if mode not in get_args(RewardNorm):
            hint = did_you_mean(mode, get_args(RewardNorm))
            raise RlpytError("config", f"reward_norm={mode!r} is not known", hint=hint)
        if discount is not None and not 0.0 <= discount < 1.0:
            what = f"return_discount={discount}"
            raise RlpytError("config", what, hint="use 0 or more, and less than 1, or None")
        self.mode = mode
        self.discount = discount
        self.rewards = RunningMeanStd(())
        self.returns = RunningMeanStd(())
        self.register_buffer("open_return", torch.zeros(n_envs if discount is not None else 0))

    def forward(self, reward: Tensor, valid: Tensor | None, world: World) -> Tensor:
        """Take in ``reward`` [T, B], where ``valid``, of all processes in ``world``, and return it
        scaled; 0 where not valid.
        """
        if valid is not None:
            reward = reward.masked_fill(~valid, 0.0)
        if self.mode == "rms":
            self.rewards.update(reward, valid, world)
            spread = self.rewards.var.sqrt()
            if self.discount is not None:
                self.returns.update(self._returns(reward, self.discount), valid, world)
                spread = self.returns.var.sqrt()
            scale = torch.maximum(spread, _LEAST_SPREAD * self.rewards.mean.abs()) + 1e-8
            return reward / scale.to(reward.dtype)
        if self.mode == "minmax":
            return _between(reward, valid)
        return reward

    def _returns(self, reward: Tensor, discount: float) -> Tensor:
        """G, [T, B]."""
        if reward.shape[1] != len(self.open_return):
            what = f"return_discount={discount} follows {len(self.open_return)} environments, "
            what += f"and {reward.shape[1]} columns came"
            hint = "give batches of the same environments, or return_discount=None for a replay"
            raise RlpytError("config", what, hint=hint)
        first = reward[:1] + discount * self.open_return
        forward = torch.cat([first, reward[1:]])
        decay = torch.full_like(forward, discount)
        returns = reverse_linear_recurrence(forward.flip(0), decay).flip(0)
        self.open_return.copy_(returns[-1])
        return returns


def _between(reward: Tensor, valid: Tensor | None) -> Tensor:
    """Between 0 and 1, by the least and the greatest of the batch where ``valid``."""
    low, high = reward, reward
    if valid is not None:
        low = reward.masked_fill(~valid, math.inf)
        high = reward.masked_fill(~valid, -math.inf)
    least, greatest = low.amin(), high.amax()
    spread = greatest - least
    scaled = (reward - least) / torch.where(spread > 0, spread, 1.0)
    return scaled if valid is None else scaled.masked_fill(~valid, 0.0)
