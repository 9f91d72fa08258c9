"""Tianshou: https://github.com/thu-ml/tianshou. Variants: "plain", "stacked" (the newest frame of
each stack only, stacks put together when sampled).
"""

from importlib.metadata import version as installed_version
from typing import Any

import torch
from tianshou.data import Batch as Data
from tianshou.data import PrioritizedVectorReplayBuffer, VectorReplayBuffer

from peers.replay.steps import ROWS, Steps
from peers.replay.task import STACK, STACK_BYTES, Batch, System, Task


def version() -> str:
    return installed_version("tianshou")


def bytes_each(task: Task) -> int:
    return (STACK_BYTES // 4 if task.variant == "stacked" else 2 * STACK_BYTES) + 64


def build(task: Task, steps: Steps) -> System:
    stacked = task.variant == "stacked"
    options: dict[str, Any] = {
        "stack_num": STACK[0] if stacked else 1,
        "save_only_last_obs": stacked,
        "ignore_obs_next": stacked,
    }
    prioritized = task.kind == "prioritized"
    if prioritized:
        options |= {"alpha": task.alpha, "beta": task.beta}
    Buffer = PrioritizedVectorReplayBuffer if prioritized else VectorReplayBuffer
    replay = Buffer(task.transitions, task.num_envs, **options)
    row = -1

    def append() -> int:
        nonlocal row
        row = (row + 1) % ROWS
        data = Data(
            obs=steps.observation[row],
            act=steps.action[row],
            rew=steps.reward[row],
            terminated=steps.done[row],
            truncated=steps.done[row] & False,
            obs_next=steps.following(row),
            info={},
        )
        replay.add(data)
        return task.num_envs

    def draw(n: int) -> Batch:
        batch, indices = replay.sample(n)
        reward = torch.from_numpy(batch.rew)
        if prioritized:
            replay.update_weight(indices, reward.abs() + 0.1)
        return {
            "observation": torch.from_numpy(batch.obs),
            "next_observation": torch.from_numpy(batch.obs_next),
            "action": torch.from_numpy(batch.act),
            "reward": reward,
            "done": torch.from_numpy(batch.terminated),
        }

    return System(append=append, draw=draw)
