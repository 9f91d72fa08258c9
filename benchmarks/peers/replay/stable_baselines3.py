"""Stable-Baselines3: https://github.com/DLR-RM/stable-baselines3. Variants: "plain", "optimized"
(observations once, next ones are those of the next row).
"""

from importlib.metadata import version as installed_version

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer

from peers.replay.steps import ROWS, Steps
from peers.replay.task import STACK, STACK_BYTES, Batch, System, Task


def version() -> str:
    return installed_version("stable-baselines3")


def bytes_each(task: Task) -> int:
    return (STACK_BYTES if task.variant == "optimized" else 2 * STACK_BYTES) + 32


def build(task: Task, steps: Steps) -> System:
    replay = ReplayBuffer(
        task.transitions,
        spaces.Box(0, 255, STACK, np.uint8),
        spaces.Discrete(6),
        device="cpu",
        n_envs=task.num_envs,
        optimize_memory_usage=task.variant == "optimized",
        handle_timeout_termination=False,
    )
    infos: list[dict[str, object]] = [{} for _ in range(task.num_envs)]
    row = -1

    def append() -> int:
        nonlocal row
        row = (row + 1) % ROWS
        observation, following = steps.observation[row], steps.following(row)
        action, reward, done = steps.action[row], steps.reward[row], steps.done[row]
        replay.add(observation, following, action, reward, done, infos)
        return task.num_envs

    def draw(n: int) -> Batch:
        batch = replay.sample(n)
        return {
            "observation": batch.observations,
            "next_observation": batch.next_observations,
            "action": batch.actions,
            "reward": batch.rewards,
            "done": batch.dones,
        }

    return System(append=append, draw=draw)
