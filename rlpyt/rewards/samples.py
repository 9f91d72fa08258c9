"""What an intrinsic reward looks at: transitions, of our samplers or of anyone's arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlpyt.data import Samples
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.collections import NamedArrayTuple, namedarraytuple
from rlpyt.utils.errors import RlpytError

__all__ = ["RewardSamples", "check_columns", "reward_samples", "samples_of"]


class RewardSamples(NamedArrayTuple):
    """Transitions, every leaf ``[T, B, ...]``: T consecutive steps of B environments.

    A loss takes minibatches of them, ``[N, ...]``. Of a replay T is 1 and B the batch size.
    """

    observation: Any  # tree
    action: Any  # tree; indices from 0 where discrete
    next_observation: Any  # tree: the true next one, also where the episode ended
    terminated: Tensor  # bool
    truncated: Tensor  # bool
    reset: Tensor | None = None  # bool: an episode starts here; None: only behind an end
    valid: Tensor | None = None  # bool; None: every step is valid

    @property
    def done(self) -> Tensor:
        """Episode ends, [T, B] bool."""
        return self.terminated | self.truncated

    @property
    def is_last(self) -> Tensor:
        """Where the next row is of no step from here, [T, B] bool: at ends, and where not
        ``valid``, as between episodes of a library that resets one step later.
        """
        return self.done if self.valid is None else self.done | ~self.valid


def check_columns(name: str, n_envs: int, B: int) -> None:
    """Refuse a batch of ``B`` columns where ``name`` follows ``n_envs`` environments from batch to
    batch.

    Raises:
        RlpytError: ``config``.
    """
    if n_envs != B:
        what = f"{name} is of {n_envs} environments, and {B} columns came"
        hint = "give every batch of the same environments, in order; build it with their n_envs"
        raise RlpytError("config", what, hint=hint)


def samples_of(samples: Samples, last_observation: Any = None) -> RewardSamples:
    """The transitions of a sampler's batch [T, B].

    The next observation is ``final_observation`` where the episode ended, and elsewhere the
    observation of the row below. Behind the last row stands ``last_observation``, a tree [B, ...];
    ``None``: the last row of ``final_observation``, where samplers write it.
    """
    ended = samples.done
    if last_observation is None:
        last_observation = buffer_map(lambda leaf: leaf[-1], samples.final_observation)

    def following(leaf: Tensor, final: Tensor, last: Tensor) -> Tensor:
        found = torch.cat([leaf[1:], last.unsqueeze(0)])
        found[ended] = final[ended]
        return found

    observation = samples.observation
    found = RewardSamples(
        observation=observation,
        action=samples.action,
        next_observation=buffer_map(
            following, observation, samples.final_observation, last_observation
        ),
        terminated=samples.terminated,
        truncated=samples.truncated,
        reset=samples.reset,
        valid=samples.valid,
    )
    return _blanked(found)


def reward_samples(
    *,
    observation: Any,
    action: Any,
    next_observation: Any,
    terminated: Any,
    truncated: Any = None,
    reset: Any = None,
    valid: Any = None,
) -> RewardSamples:
    """The same from anyone's arrays, [T, B, ...] each: numpy or torch, dicts of them where a space
    is a Dict, tuples where it is a Tuple. Tensors are shared with the arrays where possible.

    Args:
        observation: What was acted on.
        action: What was done; indices from 0 where discrete.
        next_observation: The true next observation, also where an episode ended: many libraries
            keep that one in ``infos["terminal_observation"]`` or ``infos["final_obs"]``.
        terminated: Whether the task ended there, [T, B]. Of a library that tells no truncations,
            all ends.
        truncated: Whether the episode was cut there; ``None``: never.
        reset: Whether an episode starts there; ``None``: only behind an end.
        valid: Which steps count; ``None``: all.
    """
    ends = _flags(terminated)
    found = RewardSamples(
        observation=_tree(observation),
        action=_tree(action),
        next_observation=_tree(next_observation),
        terminated=ends,
        truncated=torch.zeros_like(ends) if truncated is None else _flags(truncated),
        reset=None if reset is None else _flags(reset),
        valid=None if valid is None else _flags(valid),
    )
    return _blanked(found)


def _blanked(samples: RewardSamples) -> RewardSamples:
    """With zeros where not ``valid``: what stands there may be anything, and a gradient through it
    not finite, which a weight of 0 does not mend.
    """
    valid = samples.valid
    if valid is None:
        return samples

    def blank(leaf: Tensor) -> Tensor:
        return leaf.masked_fill(~valid.reshape(*valid.shape, *[1] * (leaf.dim() - 2)), 0)

    return samples._replace(
        observation=buffer_map(blank, samples.observation),
        action=buffer_map(blank, samples.action),
        next_observation=buffer_map(blank, samples.next_observation),
    )


def _flags(array: Any) -> Tensor:
    return torch.as_tensor(array).bool()


def _tree(node: Any) -> Any:
    if isinstance(node, Mapping):
        return namedarraytuple("DictTree", tuple(node))._make(map(_tree, node.values()))
    if isinstance(node, tuple):
        fields = getattr(node, "_fields", None) or tuple(f"item_{i}" for i in range(len(node)))
        return namedarraytuple("TupleTree", fields)._make(map(_tree, node))
    leaf = torch.as_tensor(np.asarray(node) if isinstance(node, list) else node)
    return leaf.float() if leaf.dtype == torch.float64 else leaf
