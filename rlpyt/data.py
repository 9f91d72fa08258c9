"""The nouns: what moves between sampler, agent and algorithm. Arrays are time-major, ``[T, B,
...]``.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space
from torch import Tensor

from rlpyt.utils.collections import NamedArrayTuple

__all__ = [
    "AgentInputs",
    "AgentStep",
    "BatchSpec",
    "EnvSpaces",
    "EnvStep",
    "NoState",
    "OptInfo",
    "RnnState",
    "Samples",
    "TrajInfo",
]

OptInfo = dict[str, list[float]]
"""What one ``optimize_agent`` reports: lowerCamelCase name to one value per gradient step."""


class BatchSpec(NamedTuple):
    """The shape of one sampler batch: ``T`` time steps of ``B`` environments."""

    T: int
    B: int

    @property
    def size(self) -> int:
        """Environment steps in one batch."""
        return self.T * self.B


class EnvSpaces(NamedTuple):
    """Gymnasium spaces of one environment."""

    observation: Space[Any]
    action: Space[Any]


class NoState(NamedArrayTuple):
    """The state of a feed-forward model: nothing."""


class RnnState(NamedArrayTuple):
    """Recurrent state, batch first: ``hidden`` [B, layers, H]; ``cell`` likewise for an LSTM,
    ``None`` for a GRU.
    """

    hidden: Tensor
    cell: Tensor | None = None


class AgentInputs(NamedArrayTuple):
    """What a model sees. ``reset`` marks the first step of an episode, where previous action,
    reward and state are zero.
    """

    observation: Any  # tree [..., *observation shape]
    prev_action: Any  # tree [..., *action shape]
    prev_reward: Tensor  # [...] float32
    reset: Tensor  # [...] bool


class AgentStep(NamedArrayTuple):
    """What an agent returns for one step of B environments."""

    action: Any  # tree [B, *action shape]
    agent_info: Any  # tree [B, ...], the agent's own


class EnvStep(NamedArrayTuple):
    """What a vector environment writes for one step of B environments, as numpy views.

    ``observation`` is where the next action starts from: after an episode's end, the first of the
    next episode. ``final_observation`` is written only where an episode ended: its true last
    observation.
    """

    observation: Any  # tree [B, *observation shape]
    reward: Any  # [B] float32
    terminated: Any  # [B] bool: cuts the bootstrap
    truncated: Any  # [B] bool: does not
    final_observation: Any  # tree [B, *observation shape]
    env_info: Any = None  # tree [B, ...], the leaves of ``info`` that were asked for


class Samples(NamedArrayTuple):
    """One sampler batch, every leaf ``[T, B, ...]``.

    ``prev_action`` and ``action`` are two views, one step apart, of one array (``prev_reward`` and
    ``reward`` too); at ``reset`` the previous values belong to the episode before and count as
    zero. ``final_observation`` is meaningful only where ``truncated`` or ``terminated``, and in the
    last row, where it is the observation after the batch; its other rows are never touched.
    ``bootstrap_value`` is V of the true next observation where ``truncated``, and at the last step;
    elsewhere zero.
    """

    observation: Any
    prev_action: Any
    prev_reward: Tensor
    reset: Tensor  # bool: an episode starts at this step
    action: Any
    agent_info: Any
    reward: Tensor  # float32
    terminated: Tensor  # bool
    truncated: Tensor  # bool
    final_observation: Any = None
    env_info: Any = None
    bootstrap_value: Tensor | None = None  # float32
    valid: Tensor | None = None  # bool; None: every step is valid

    @property
    def done(self) -> Tensor:
        """Episode ends, [T, B] bool."""
        return self.terminated | self.truncated

    @property
    def agent_inputs(self) -> AgentInputs:
        """What the model saw, [T, B, ...]."""
        return AgentInputs(self.observation, self.prev_action, self.prev_reward, self.reset)


@dataclass(kw_only=True)
class TrajInfo:
    """Statistics of one episode, fed with fragments of it. Subclass to log more; names in CamelCase
    become columns.

    Attributes that start with an underscore, and ``discount`` and ``env_index``, are not logged.
    """

    discount: float = 1.0
    env_index: int = 0
    Length: int = 0
    Return: float = 0.0
    NonzeroRewards: int = 0
    DiscountedReturn: float = 0.0

    def extend(self, fragment: Samples) -> None:
        """Take in ``n`` consecutive steps of the episode: every leaf of ``fragment`` is a numpy
        array ``[n, ...]``.
        """
        reward = np.asarray(fragment.reward, dtype=np.float64)
        weight = self.discount ** np.arange(self.Length, self.Length + len(reward))
        self.Length += len(reward)
        self.Return += float(reward.sum())
        self.NonzeroRewards += int(np.count_nonzero(reward))
        self.DiscountedReturn += float(weight @ reward)

    def ends(self, samples: Samples) -> Any:
        """Where an episode of the log ends, [T, B] bool, in ``samples`` of numpy arrays."""
        return samples.terminated | samples.truncated

    def columns(self) -> dict[str, float]:
        """What is logged of a finished episode."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in {"discount", "env_index"} and not name.startswith("_")
        }
