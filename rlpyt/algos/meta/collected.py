"""From batches of trials to a replay of tasks, which transitions are whose, and which are context;
and from there to what a gradient step learns from.

The observation of :class:`~rlpyt.envs.context_trials.ContextTrials` has the transition that led to
it, so a row tells of the step before. That of a trial's last step stands in its final observation.
"""

from typing import Any

import numpy as np
import torch

from rlpyt.algos.meta.losses import PearlBatch
from rlpyt.data import Samples
from rlpyt.models.context import Context
from rlpyt.replays.tasks import TaskReplay, TaskTransitions
from rlpyt.utils.buffer import buffer_map, buffer_to, numpify_buffer

__all__ = ["append_trials", "drawn_batch"]


def append_trials(replay: TaskReplay, samples: Samples) -> None:
    """Append the transitions of ``samples`` [T, B], environment by environment, as if one had been
    collected after the other; where a trial begins, its task's context is empty again.
    """
    for b in range(samples.reward.shape[1]):
        column = numpify_buffer(samples[:, b])
        begins = np.flatnonzero(column.reset).tolist()
        for start, stop in zip([0, *begins], [*begins, len(column.reset)], strict=True):
            if start < stop:
                _append(replay, column[start:stop])


def _append(replay: TaskReplay, rows: Samples) -> None:
    """Rows [n, ...] of one trial: all of it or a part."""
    seen: Any = rows.observation
    task = int(seen.task[0])
    first = 0
    if rows.reset[0]:
        replay.begin_trial(task)
        first = 1
    transitions, in_context = _transitions(seen[first:])
    if rows.truncated[-1] or rows.terminated[-1]:
        final, counts = _transitions(rows.final_observation[-1:])
        transitions = buffer_map(lambda *parts: np.concatenate(parts), transitions, final)
        in_context = np.concatenate([in_context, counts])
    if len(in_context):
        replay.append(task, transitions, in_context)


def _transitions(seen: Any) -> tuple[TaskTransitions, Any]:
    last = seen.last
    found = TaskTransitions(
        observation=last.observation,
        action=last.action,
        reward=last.reward,
        context_reward=last.context_reward,
        next_observation=last.next_observation,
        terminated=last.terminated.astype(np.float32),
    )
    return found, seen.in_context > 0


def drawn_batch(
    replay: TaskReplay,
    tasks: np.ndarray[Any, Any],
    rng: np.random.Generator,
    *,
    batch_size: int,
    context_size: int,
    windows: bool,
    reward_scale: float,
    device: torch.device,
) -> PearlBatch:
    """``batch_size`` transitions of each of ``tasks`` [M], rewards times ``reward_scale``; and of
    their contexts ``context_size``, or ``windows`` of up to so many.
    """
    valid = None
    if windows:
        told, valid = replay.sample_windows(tasks, context_size, rng)
        valid = valid.to(device)
    else:
        told = replay.sample_context(tasks, context_size, rng)
    told = buffer_to(told, device)
    rows: TaskTransitions = buffer_to(replay.sample(tasks, batch_size, rng), device)
    return PearlBatch(
        context=Context(told.observation, told.action, told.context_reward, told.next_observation),
        valid=valid,
        now=rows.observation,
        action=rows.action,
        reward=rows.reward * reward_scale,
        following=rows.next_observation,
        not_terminated=1.0 - rows.terminated,
    )
