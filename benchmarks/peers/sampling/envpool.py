"""EnvPool: https://github.com/sail-sg/envpool, in lock step ("sync") or asynchronously ("async").

Asynchronously half of the environments are handed over as soon as they are done, while the others
go on.
"""

from importlib.metadata import version as installed_version
from typing import Any

import envpool

from peers.sampling.environments import POOL
from peers.sampling.lockstep import Lockstep, SendReceive
from peers.sampling.policy import acting
from peers.sampling.task import System, Task


def version() -> str:
    return installed_version("envpool")


def make(
    environment: str, *, num_envs: int, num_threads: int, seed: int, batch_size: int | None = None
) -> Any:
    """A ``gymnasium.vector.VectorEnv``; its seed is given here, ``reset(seed=)`` does nothing."""
    env_id, options = POOL[environment]
    return envpool.make(
        env_id,
        env_type="gymnasium",
        num_envs=num_envs,
        batch_size=batch_size or num_envs,
        num_threads=num_threads,
        seed=seed,
        **options,
    )


def build(task: Task) -> System:
    n = task.num_envs
    is_async = task.variant == "async"
    batch = n // 2 if is_async else n
    envs = make(
        task.environment, num_envs=n, num_threads=task.workers, seed=task.seed, batch_size=batch
    )
    act = acting(task, envs.single_observation_space, envs.single_action_space, batch)
    if is_async:
        envs.async_reset()
        advance = SendReceive(envs, act, with_ids=True).advance
    else:
        advance = Lockstep(envs, act, seed=task.seed, spends_resets=True).advance
    layout = f"{task.workers} threads x {n}" + (f", {batch} at a time" if is_async else "")
    return System(advance=advance, close=envs.close, layout=layout)
