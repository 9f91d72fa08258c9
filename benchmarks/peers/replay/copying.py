"""The limit: nothing but the copy that a batch costs. Variants: "frames" (each frame once, a
transition's five lie together), "arrays" (two whole stacks).
"""

import numpy as np
import torch

from peers.replay.steps import Steps
from peers.replay.task import STACK, STACK_BYTES, Batch, System, Task

N_DRAWN = 997  # sets of indices drawn ahead


def version() -> str:
    return f"numpy {np.__version__}"


def bytes_each(task: Task) -> int:
    return STACK_BYTES if task.variant == "arrays" else STACK_BYTES // 4


def build(task: Task, steps: Steps) -> System:
    frames = task.variant == "frames"
    items = np.zeros((task.transitions, *(STACK[1:] if frames else STACK)), np.uint8)
    window = np.arange(5) if frames else np.array([0, task.num_envs])
    rng = np.random.default_rng(task.seed)
    drawn: dict[int, tuple[list[np.ndarray], torch.Tensor]] = {}
    count = 0

    def append() -> int:
        nonlocal count
        rows = steps.observation.reshape(-1, *STACK)[: task.num_envs]
        at = count % (task.transitions - task.num_envs)
        items[at : at + task.num_envs] = rows[:, -1] if frames else rows
        count += task.num_envs
        return task.num_envs

    def draw(n: int) -> Batch:
        nonlocal count
        if n not in drawn:
            last = task.transitions - window[-1]
            sets = rng.integers(0, last, (N_DRAWN, n, 1)) + window
            memory = torch.empty((n, len(window), *items.shape[1:]), dtype=torch.uint8)
            drawn[n] = list(sets), memory
        count += 1
        indices, out = drawn[n]
        np.take(items, indices[count % N_DRAWN], axis=0, out=out.numpy(), mode="clip")
        observation, following = (out[:, :4], out[:, 1:]) if frames else (out[:, 0], out[:, 1])
        scalars = torch.zeros(n)
        return {
            "observation": observation,
            "next_observation": following,
            "action": scalars,
            "reward": scalars,
            "done": scalars,
        }

    return System(append=append, draw=draw)
