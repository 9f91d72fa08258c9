"""The memory of one sampler batch, allocated once, with every view of it that the step loop needs
made ahead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.data import AgentInputs, EnvSpaces, EnvStep, Samples
from rlpyt.envs.spaces import example_of
from rlpyt.utils.buffer import buffer_from_example, buffer_map, fill_poison, leaves, numpify_buffer
from rlpyt.utils.collections import NamedArrayTuple, namedarraytuple

__all__ = ["Row", "SampleArrays", "SampleBuffer", "sample_arrays"]


class SampleArrays(NamedArrayTuple):
    """The arrays behind one batch of B columns.

    Observation, action, reward and reset have T + 1 rows: the last observation of a batch is the
    first of the next, and ``prev_action`` is ``action`` seen one row earlier.
    """

    observation: Any  # [T + 1, B, ...]
    action: Any  # [T + 1, B, ...]; row 0 is the last action before the batch
    reward: Tensor  # [T + 1, B]
    reset: Tensor  # [T + 1, B] bool
    agent_info: Any  # [T, B, ...]
    terminated: Tensor  # [T, B] bool
    truncated: Tensor  # [T, B] bool
    final_observation: Any  # [T, B, ...]
    env_info: Any = None  # [T, B, ...]
    bootstrap_value: Any = None  # [T, B]
    valid: Any = None  # [T, B] bool


def sample_arrays(
    spaces: EnvSpaces,
    agent_info: Any,
    T: int,
    B: int,
    *,
    bootstrap_value: bool,
    with_valid: bool,
    info_keys: tuple[str, ...],
    allocate: Callable[[Any], Any],
    poison: bool = False,
) -> SampleArrays:
    """The arrays of one batch, made by ``allocate`` from a tree on the meta device.

    ``agent_info`` is an example of one environment's, without leading dimensions; ``poison`` fills
    with NaN and -42, to show a read before a write.
    """

    def rows(example: Any, n: int) -> Any:
        return buffer_from_example(example, (n, B), device="meta")

    observation, flag = example_of(spaces.observation), torch.zeros((), dtype=torch.bool)
    number = torch.zeros(())
    arrays: SampleArrays = allocate(
        SampleArrays(
            observation=rows(observation, T + 1),
            action=rows(example_of(spaces.action), T + 1),
            reward=rows(number, T + 1),
            reset=rows(flag, T + 1),
            agent_info=rows(agent_info, T),
            terminated=rows(flag, T),
            truncated=rows(flag, T),
            final_observation=rows(observation, T),
            env_info=rows(_info_example(info_keys), T),
            bootstrap_value=rows(number, T) if bootstrap_value else None,
            valid=rows(flag, T) if with_valid else None,
        )
    )
    _fill(arrays, poison=poison)
    return arrays


def _fill(arrays: SampleArrays, *, poison: bool) -> None:
    if arrays.valid is not None:
        arrays.valid.fill_(True)
    if poison:
        fill_poison(arrays.observation)
        fill_poison(arrays.action)
        fill_poison(arrays.agent_info)
        fill_poison(arrays.final_observation)


def _info_example(keys: tuple[str, ...]) -> Any:
    """One environment's recorded ``info``: a float32 for each key; None without any."""
    if not keys:
        return None
    return namedarraytuple("EnvInfo", keys)(*[torch.zeros(())] * len(keys))


@final
@dataclass(frozen=True)
class Row:
    """Views of one time step: slicing them ahead keeps indexing out of the hot loop."""

    t: int
    last: bool  # the batch's last step
    inputs: AgentInputs  # torch, what the actor sees
    observation_np: Any  # the observation acted on
    action_np: Any  # the action, as the environment reads it
    env_step: EnvStep  # numpy, where the environment writes
    next_reset_np: np.ndarray[Any, Any]  # bool [B]
    valid_np: np.ndarray[Any, Any] | None  # bool [B]


@final
class SampleBuffer:
    """``samples`` [T, B], and the views behind it, on the columns that ``arrays`` holds."""

    def __init__(self, arrays: SampleArrays) -> None:
        """Make the views; every array is used as it is."""
        self.arrays = arrays
        self.T, self.B = arrays.terminated.shape
        T = self.T
        self.samples = Samples(
            observation=_rows(arrays.observation, 0, T),
            prev_action=_rows(arrays.action, 0, T),
            prev_reward=arrays.reward[:T],
            reset=arrays.reset[:T],
            action=_rows(arrays.action, 1, T + 1),
            agent_info=arrays.agent_info,
            reward=arrays.reward[1:],
            terminated=arrays.terminated,
            truncated=arrays.truncated,
            final_observation=arrays.final_observation,
            env_info=arrays.env_info,
            bootstrap_value=arrays.bootstrap_value,
            valid=arrays.valid,
        )
        self.samples_np: Samples = numpify_buffer(self.samples)
        self.observation_np = numpify_buffer(arrays.observation)
        self.reset_np = arrays.reset.numpy()
        self.rows = [self._row(t) for t in range(T)]

    def inputs(self, t: int, columns: slice = slice(None)) -> AgentInputs:
        """What an actor sees before step ``t``, up to and including T, in these columns."""
        arrays = self.arrays
        observation, action = _row(arrays.observation, t), _row(arrays.action, t)
        whole = AgentInputs(observation, action, arrays.reward[t], arrays.reset[t])
        return whole[columns]

    def _row(self, t: int) -> Row:
        arrays, samples = self.arrays, self.samples
        step = EnvStep(
            _row(arrays.observation, t + 1),
            samples.reward[t],
            samples.terminated[t],
            samples.truncated[t],
            _row(samples.final_observation, t),
            _row(samples.env_info, t),
        )
        return Row(
            t=t,
            last=t == self.T - 1,
            inputs=self.inputs(t),
            observation_np=_row(self.observation_np, t),
            action_np=numpify_buffer(_row(samples.action, t)),
            env_step=numpify_buffer(step),
            next_reset_np=self.reset_np[t + 1],
            valid_np=None if arrays.valid is None else arrays.valid[t].numpy(),
        )

    def keep_following(self) -> None:
        """The observation after the batch is the last final one, where no episode ended there."""
        step, goes_on = self.rows[-1].env_step, ~self.rows[-1].next_reset_np
        for kept, following in zip(
            leaves(step.final_observation), leaves(step.observation), strict=True
        ):
            kept[goes_on] = following[goes_on]

    def clear_carry(self) -> None:
        """Nothing came before the next batch: every environment starts an episode."""
        for leaf in (*leaves(self.arrays.action), self.arrays.reward):
            leaf[self.T].zero_()
        self.arrays.reset[self.T] = True

    def carry_over(self) -> None:
        """The last row becomes the first; what is written only now and then is cleared."""
        arrays = self.arrays
        for tree in (arrays.observation, arrays.action, arrays.reward, arrays.reset):
            for leaf in leaves(tree):
                leaf[0].copy_(leaf[self.T])
        if arrays.bootstrap_value is not None:
            arrays.bootstrap_value.zero_()
        if arrays.valid is not None:
            arrays.valid.fill_(True)


def _rows(tree: Any, start: int, stop: int) -> Any:
    return buffer_map(lambda leaf: leaf[start:stop], tree)


def _row(tree: Any, t: int) -> Any:
    return buffer_map(lambda leaf: leaf[t], tree)
