"""Ours. Variants: "frames", "arrays"."""

import numpy as np
import torch
from gymnasium import spaces

from peers.our_version import version
from peers.replay.steps import ROWS, Steps
from peers.replay.task import STACK, STACK_BYTES, Batch, System, Task
from rlpyt.data import EnvSpaces, Samples
from rlpyt.replays import ArrayStorage, FrameStorage, Prioritized, ReplayBuffer

__all__ = ["build", "bytes_each", "version"]

SPACES = EnvSpaces(spaces.Box(0, 255, STACK, np.uint8), spaces.Discrete(6))


def bytes_each(task: Task) -> int:
    return (STACK_BYTES if task.variant == "arrays" else STACK_BYTES // 4) + 32


def build(task: Task, steps: Steps) -> System:
    replay = ReplayBuffer(
        size=task.transitions,
        storage=ArrayStorage() if task.variant == "arrays" else FrameStorage(),
        prioritized=Prioritized(alpha=task.alpha, beta=task.beta)
        if task.kind == "prioritized"
        else None,
        sequence_length=task.length if task.kind == "sequence" else None,
        rnn_state_interval=task.length // 2 if task.kind == "sequence" else 1,
    )
    rng = np.random.default_rng(task.seed)
    replay.initialize(SPACES, B=task.num_envs, T=task.rows, discount=0.99, rng=rng)
    chunks, appended = make_chunks(steps, task.rows), 0

    def append() -> int:
        nonlocal appended
        chunk = chunks[appended % len(chunks)]
        replay.append(chunk)
        appended += 1
        return chunk.reward.numel()

    def draw(n: int) -> Batch:
        if task.kind == "sequence":
            sequences = replay.sample_sequences(n)
            return {
                "observation": sequences.observation[:-1],
                "next_observation": sequences.observation[1:],
                "action": sequences.action,
                "reward": sequences.return_,
                "done": sequences.next_discount == 0,
            }
        batch = replay.sample(n)
        if task.kind == "prioritized":
            replay.update_priorities(batch.indices, batch.return_.abs() + 0.1)
        return {
            "observation": batch.observation,
            "next_observation": batch.next_observation,
            "action": batch.action,
            "reward": batch.return_,
            "done": batch.next_discount,  # 0 where it ends
        }

    forecast = replay.forecast(SPACES, B=task.num_envs)
    return System(append=append, draw=draw, forecast=forecast)


def make_chunks(steps: Steps, rows: int) -> list[Samples]:
    """The steps as batches of a sampler."""
    action, reward = torch.from_numpy(steps.action), torch.from_numpy(steps.reward)
    done, observation = torch.from_numpy(steps.done), torch.from_numpy(steps.observation)
    reset = torch.zeros_like(done)
    reset[0] = True
    everything = Samples(
        observation=observation,
        prev_action=action.roll(1, 0),
        prev_reward=reward.roll(1, 0),
        reset=reset,
        action=action,
        agent_info=None,
        reward=reward,
        terminated=done,
        truncated=torch.zeros_like(done),
    )
    return [everything[first : first + rows] for first in range(0, ROWS, rows)]
