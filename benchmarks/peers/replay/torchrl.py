"""TorchRL: https://github.com/pytorch/rl. Variants: "tensor", "memmap" (a file)."""

from importlib.metadata import version as installed_version
from typing import Any

import torch
from tensordict import TensorDict
from torchrl.data import (
    LazyMemmapStorage,
    LazyTensorStorage,
    PrioritizedSampler,
    RandomSampler,
    SliceSampler,
    TensorDictReplayBuffer,
)

from peers.replay.steps import ROWS, Steps
from peers.replay.task import STACK_BYTES, Batch, System, Task


def version() -> str:
    return installed_version("torchrl")


def bytes_each(task: Task) -> int:
    return 2 * STACK_BYTES + 64


def build(task: Task, steps: Steps) -> System:
    sequence = task.kind == "sequence"
    Storage = LazyMemmapStorage if task.variant == "memmap" else LazyTensorStorage
    storage = Storage(task.transitions, ndim=2) if sequence else Storage(task.transitions)
    replay = TensorDictReplayBuffer(
        storage=storage,
        sampler=make_sampler(task),
        priority_key="td_error",
        batch_size=task.batches[0] * (task.length if sequence else 1),
    )
    chunks, appended = make_chunks(task, steps), 0

    def append() -> int:
        nonlocal appended
        chunk = chunks[appended % len(chunks)]
        replay.extend(chunk)
        appended += 1
        return int(chunk.numel())

    def draw(n: int) -> Batch:
        batch = replay.sample(n * task.length if sequence else n)
        following = batch["next"]
        if task.kind == "prioritized":
            batch["td_error"] = following["reward"].abs() + 0.1
            replay.update_tensordict_priority(batch)
        return {
            "observation": batch["observation"],
            "next_observation": following["observation"],
            "action": batch["action"],
            "reward": following["reward"],
            "done": following["done"],
        }

    return System(append=append, draw=draw)


def make_sampler(task: Task) -> Any:
    if task.kind == "prioritized":
        return PrioritizedSampler(task.transitions, alpha=task.alpha, beta=task.beta)
    if task.kind == "sequence":
        return SliceSampler(slice_len=task.length, end_key=("next", "done"), cache_values=True)
    return RandomSampler()


def make_chunks(task: Task, steps: Steps) -> list[TensorDict]:
    """The steps as a collector hands them out: [T * B], or [B, T] for sequences."""
    following = torch.from_numpy(steps.observation).roll(-1, 0)
    following[-1] = torch.from_numpy(steps.final)
    done = torch.from_numpy(steps.done)[..., None]
    everything = TensorDict(
        {
            "observation": torch.from_numpy(steps.observation),
            "action": torch.from_numpy(steps.action),
            "next": {
                "observation": following,
                "reward": torch.from_numpy(steps.reward)[..., None],
                "done": done,
                "terminated": done.clone(),
            },
        },
        batch_size=[ROWS, task.num_envs],
    )
    chunks = [everything[first : first + task.rows] for first in range(0, ROWS, task.rows)]
    if task.kind == "sequence":
        return [chunk.transpose(0, 1) for chunk in chunks]
    return [chunk.reshape(-1) for chunk in chunks]
