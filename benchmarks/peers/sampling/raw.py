"""The limit: bare environments in a tight loop, one process for each core.

Variants: "BACK_END:1" is one process with all environments, "BACK_END:all" one process for each
core, with its share of them. Back ends: "loop" (single environments, without Gymnasium's outer
wrappers), "native", "pool" (EnvPool), all with actions drawn ahead; and "policy", which is no
environment but the network alone, on one batch of observations of all environments.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from ctypes import c_longlong
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version as installed_version
from typing import Any

import gymnasium
import torch
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from peers.sampling.environments import SINGLE, drawn_actions, native
from peers.sampling.lockstep import CHUNK, Lockstep
from peers.sampling.policy import acting
from peers.sampling.task import System, Task

POLL = 0.05  # seconds between two readings of the counters


def version() -> str:
    return installed_version("gymnasium")


def usable_cores() -> list[int]:
    """Cores that this process may run on; where the system does not tell: all."""
    if "sched_getaffinity" in dir(os):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def build(task: Task) -> System:
    back_end, _colon, processes = task.variant.partition(":")
    cores = usable_cores()
    if processes == "1" or len(cores) == 1:
        loop = LOOPS[back_end](task)
        return System(advance=loop, close=lambda: None, layout=f"1 process x {task.num_envs}")
    if back_end == "policy":
        return _together(task, back_end, cores)
    share = task.num_envs // len(cores)
    if share * len(cores) != task.num_envs:
        raise SystemExit(f"{task.num_envs} environments do not divide over {len(cores)} cores")
    return _together(replace(task, num_envs=share), back_end, cores)


def _together(task: Task, back_end: str, cores: list[int]) -> System:
    """One process on each core, counting its transitions into shared memory."""
    context = multiprocessing.get_context("spawn")
    counters: list[Any] = [context.Value(c_longlong, 0, lock=False) for _ in cores]
    processes = [
        context.Process(
            target=_count,
            args=(replace(task, seed=task.seed + rank), back_end, core, counter),
            daemon=True,
        )
        for rank, (core, counter) in enumerate(zip(cores, counters, strict=True))
    ]
    for process in processes:
        process.start()
    while not all(counter.value for counter in counters):
        if any(process.exitcode is not None for process in processes):
            raise RuntimeError("a process ended early, see above")
        time.sleep(POLL)
    seen = sum(counter.value for counter in counters)

    def advance() -> int:
        nonlocal seen
        time.sleep(POLL)
        before, seen = seen, sum(counter.value for counter in counters)
        return int(seen - before)

    def close() -> None:
        for process in processes:
            process.terminate()
            process.join()

    layout = f"{len(cores)} processes x {task.num_envs}"
    return System(advance=advance, close=close, layout=layout)


def _count(task: Task, back_end: str, core: int, counter: Any) -> None:
    torch.set_num_threads(1)
    if "sched_setaffinity" in dir(os):
        os.sched_setaffinity(0, {core})
    advance = LOOPS[back_end](task)
    while True:
        counter.value += advance()


def _loop(task: Task) -> Callable[[], int]:
    envs, limits = zip(
        *(_bare(SINGLE[task.environment]()) for _ in range(task.num_envs)), strict=True
    )
    rows = drawn_actions(envs[0].action_space, task.num_envs, task.seed)
    # As an environment takes them: single actions, not rows of an array.
    actions = [list(row) for row in rows]
    lengths = [0] * task.num_envs
    at = 0
    for index, env in enumerate(envs):
        env.reset(seed=task.seed + index)

    def advance() -> int:
        nonlocal at
        for _ in range(CHUNK):
            at = (at + 1) % len(actions)
            for index, (env, action) in enumerate(zip(envs, actions[at], strict=True)):
                _obs, _reward, terminated, truncated, _info = env.step(action)
                lengths[index] += 1
                if terminated or truncated or lengths[index] == limits[index]:
                    env.reset()
                    lengths[index] = 0
        return CHUNK * task.num_envs

    return advance


def _bare(env: gymnasium.Env[Any, Any]) -> tuple[gymnasium.Env[Any, Any], int | None]:
    """``env`` without its outermost time limit and order check, and that limit."""
    limit = None
    if isinstance(env, TimeLimit):
        limit, env = env._max_episode_steps, env.env
    return (env.env if isinstance(env, OrderEnforcing) else env), limit


def _native(task: Task) -> Callable[[], int]:
    return _lockstep(task, native(task.environment, task.num_envs, 1))


def _pool(task: Task) -> Callable[[], int]:
    # Optional: only this back end needs it.
    pool = import_module("peers.sampling.envpool")
    envs = pool.make(task.environment, num_envs=task.num_envs, num_threads=1, seed=task.seed)
    return _lockstep(task, envs)


def _lockstep(task: Task, envs: Any) -> Callable[[], int]:
    act = acting(
        replace(task, policy=False),
        envs.single_observation_space,
        envs.single_action_space,
        task.num_envs,
    )
    return Lockstep(envs, act, seed=task.seed, spends_resets=True).advance


def _policy(task: Task) -> Callable[[], int]:
    env = SINGLE[task.environment]()
    space = env.observation_space
    act = acting(task, space, env.action_space, task.num_envs)
    env.close()
    observation = gymnasium.vector.utils.batch_space(space, task.num_envs).sample()

    def advance() -> int:
        for _ in range(CHUNK):
            act(observation)
        return CHUNK * task.num_envs

    return advance


LOOPS = {"loop": _loop, "native": _native, "pool": _pool, "policy": _policy}
