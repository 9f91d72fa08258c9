"""Ours: each sampler over each environment back end, driven without a runner.

Variants: "SAMPLER:BACK_END", and "SAMPLER:BACK_END:each" with a worker for each environment.
Samplers: "serial", "cpu", "gpu", "alternating". Back ends: "loop" (single environments), "native"
(the suite's own vector environment), "pool" (EnvPool). Everything is recorded as in training:
observations, actions, rewards, ends, the policy's log-probabilities and the value.
"""

import torch

from peers.our_version import version
from peers.sampling.environments import NATIVE
from peers.sampling.random_agent import RandomAgent
from peers.sampling.task import System, Task
from rlpyt.agents.pg import PgAgent
from rlpyt.envs.build import EnvConfig
from rlpyt.samplers.alternating import AlternatingSampler
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.cpu import CpuSampler
from rlpyt.samplers.gpu import GpuSampler
from rlpyt.samplers.serial import SerialSampler

__all__ = ["build", "version"]

PARALLEL: dict[str, type[CpuSampler] | type[GpuSampler] | type[AlternatingSampler]] = {
    "cpu": CpuSampler,
    "gpu": GpuSampler,
    "alternating": AlternatingSampler,
}


def build(task: Task) -> System:
    kind, back_end, *rest = task.variant.split(":")
    workers = 1 if kind == "serial" else task.num_envs if rest else task.workers
    sampler = make_sampler(task, kind, back_end, workers)
    agent = PgAgent() if task.policy else RandomAgent()
    spaces = sampler.env_spaces()
    agent.initialize(spaces, seed=task.seed, device=torch.device(task.device))
    sampler.initialize(agent, seed=task.seed)
    batches = 0

    def advance() -> int:
        nonlocal batches
        samples, _trajectories = sampler.obtain_samples(batches)
        batches += 1
        return samples.reward.numel() if samples.valid is None else int(samples.valid.sum())

    layout = f"1 process x {task.num_envs}"
    if kind != "serial":
        layout = f"{workers} workers x {task.num_envs // workers}"
    return System(advance=advance, close=sampler.shutdown, layout=layout)


def make_sampler(task: Task, kind: str, back_end: str, workers: int) -> BaseSampler:
    T, B = task.rollout, task.num_envs
    if kind == "serial":
        # As many threads in one process as there are workers elsewhere.
        return SerialSampler(env=env_config(task, back_end, task.workers), batch_T=T, batch_B=B)
    return PARALLEL[kind](
        env=env_config(task, back_end, 1), batch_T=T, batch_B=B, n_workers=workers
    )


def env_config(task: Task, back_end: str, threads: int) -> EnvConfig:
    if back_end == "loop":
        return EnvConfig(id=f"peers.sampling.environments:{task.environment}")
    if back_end == "pool":
        return EnvConfig(
            id="peers.sampling.envpool:make",
            kwargs={"environment": task.environment, "num_threads": threads, "seed": task.seed},
            vectorization="native",
        )
    env_id, options = NATIVE[task.environment]
    if task.environment == "pong":
        options = {**options, "num_threads": threads}
    return EnvConfig(id=env_id, kwargs=options, vectorization="native", atari=None)
