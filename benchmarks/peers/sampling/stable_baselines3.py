"""Stable-Baselines3: https://github.com/DLR-RM/stable-baselines3, its two vector environments.

Variants: "dummy" (a loop), "subproc" (a process for each environment). Both reset in the step that
ends an episode.
"""

from importlib.metadata import version as installed_version
from typing import Any

from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from peers.sampling.environments import SINGLE
from peers.sampling.lockstep import CHUNK
from peers.sampling.policy import acting
from peers.sampling.task import System, Task


def version() -> str:
    return installed_version("stable-baselines3")


def build(task: Task) -> System:
    n = task.num_envs
    makers = [SINGLE[task.environment]] * n
    if task.variant == "subproc":
        envs: VecEnv = SubprocVecEnv(makers)
        layout = f"{n} processes x 1"
    else:
        envs, layout = DummyVecEnv(makers), f"1 process x {n}"
    envs.seed(task.seed)
    observation: Any = envs.reset()
    act = acting(task, envs.observation_space, envs.action_space, n)

    def advance() -> int:
        nonlocal observation
        for _ in range(CHUNK):
            observation, _reward, _done, _info = envs.step(act(observation))
        return CHUNK * n

    return System(advance=advance, close=envs.close, layout=layout)
