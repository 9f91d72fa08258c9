"""Gymnasium: https://github.com/Farama-Foundation/Gymnasium, its three vector environments.

Variants: "sync" (a loop), "async" (a process for each environment, observations in shared memory),
"native" (the environment's own vector entry point).
"""

from importlib.metadata import version as installed_version

from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from peers.sampling.environments import SINGLE, native
from peers.sampling.lockstep import Lockstep
from peers.sampling.policy import acting
from peers.sampling.task import System, Task


def version() -> str:
    return installed_version("gymnasium")


def build(task: Task) -> System:
    n = task.num_envs
    makers = [SINGLE[task.environment]] * n
    if task.variant == "native":
        envs, layout = native(task.environment, n, 1), f"1 process x {n}"
    elif task.variant == "async":
        envs, layout = AsyncVectorEnv(makers), f"{n} processes x 1"
    else:
        envs, layout = SyncVectorEnv(makers), f"1 process x {n}"
    act = acting(task, envs.single_observation_space, envs.single_action_space, n)
    loop = Lockstep(envs, act, seed=task.seed, spends_resets=True)
    return System(advance=loop.advance, close=envs.close, layout=layout)
