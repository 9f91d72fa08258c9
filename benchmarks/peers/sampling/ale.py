"""ALE's own vector environment: https://github.com/Farama-Foundation/Arcade-Learning-Environment.

Variants: "sync", "async" (half of the environments at a time).
"""

from typing import Any

import ale_py
import numpy as np

from peers.sampling.environments import native
from peers.sampling.lockstep import Lockstep, SendReceive
from peers.sampling.policy import acting
from peers.sampling.task import System, Task


def version() -> str:
    return str(ale_py.__version__)


def build(task: Task) -> System:
    n = task.num_envs
    is_async = task.variant == "async"
    batch = n // 2 if is_async else n
    envs: Any = native(task.environment, n, task.workers, batch)
    act = acting(task, envs.single_observation_space, envs.single_action_space, batch)
    if is_async:
        # The first batch is what reset returns; its actions start the cycle.
        observation, _info = envs.reset(seed=np.arange(task.seed, task.seed + n))
        envs.send(act(observation))
        advance = SendReceive(envs, act, with_ids=False).advance
    else:
        advance = Lockstep(envs, act, seed=task.seed, spends_resets=True).advance
    layout = f"{task.workers} threads x {n}" + (f", {batch} at a time" if is_async else "")
    return System(advance=advance, close=envs.close, layout=layout)
