"""Ten updates of PPO, DQN or SAC in a world of any size, from the same data: each process has its
share of every batch.

Run by torchrun, each process writes its parameters to a file.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from runner_fakes import Drift
from safetensors.torch import save_file

from rlpyt.agents.base import Agent
from rlpyt.agents.dqn import DqnAgent
from rlpyt.agents.pg import PgAgent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.dqn import DQN
from rlpyt.algos.pg.ppo import PPO
from rlpyt.algos.qpg import SAC
from rlpyt.data import BatchSpec, Samples
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.ranks import launched_seat, receive_ends, seated
from rlpyt.samplers.requests import send
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.seed import Stream, generator
from rlpyt.utils.world import World

KINDS = ("ppo", "ppo-wait", "dqn", "sac")
T, B, N_UPDATES, BATCH = 12, 8, 10, 32
CPU = torch.device("cpu")


def parts(kind: str) -> tuple[RlAlgorithm, Agent, SerialSampler]:
    """Those of one process; the sampler is the whole world's."""
    box = kind == "sac"
    env = EnvConfig(id=Drift, kwargs={"continuous": box, "length": 0.3})
    sampler = SerialSampler(env=env, batch_T=T, batch_B=B, mid_batch_reset=kind != "ppo-wait")
    model = {"hidden_sizes": (16, 16), "normalize_observation": True}
    if kind.startswith("ppo"):
        algo: RlAlgorithm = PPO(
            epochs=N_UPDATES, minibatches=1, normalize_reward=True, learning_rate=1e-2
        )
        return algo, PgAgent(model_kwargs=model), sampler
    learning = {"min_steps_learn": 0, "replay": ReplayBuffer(size=1_000), "learning_rate": 1e-2}
    if kind == "dqn":
        algo = DQN(double=True, target_update_interval=3, **learning)
        return algo, DqnAgent(model_kwargs=model), sampler
    algo = SAC(critic_kwargs={"hidden_sizes": (16, 16)}, **learning)
    return algo, QpgAgent(policy="gaussian", model_kwargs=model), sampler


def learn(kind: str, world: World) -> dict[str, torch.Tensor]:
    """What this process's parameters are after the updates."""
    torch.set_num_threads(1)
    algo, agent, sampler = parts(kind)
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    sampler.initialize(agent, seed=0, bootstrap_value=algo.bootstrap_value)
    try:
        samples, _trajs = sampler.obtain_samples(0)
        each = B // world.size
        mine = samples[:, world.rank * each : (world.rank + 1) * each]
        algo.initialize(agent, n_itr=10, batch_spec=BatchSpec(T, each), seed=0, world=world)
        if not kind.startswith("ppo"):
            feed(algo, agent, samples, world)
        algo.optimize_agent(0, mine)
    finally:
        sampler.shutdown()
    found = {f"agent.{k}": v.clone() for k, v in agent.state_dict()["model"].items()}
    if isinstance(algo, SAC):
        found |= {f"critic.{k}": v.clone() for k, v in algo.online.critic.state_dict().items()}
        assert algo.temperature is not None
        found["temperature"] = algo.temperature.alpha.clone()
    return found


def feed(algo: Any, agent: Any, samples: Samples, world: World) -> None:
    """The same batches and noise in every world, of which this process takes its rows."""
    replay = ReplayBuffer(size=1_000)
    rng = generator(1, Stream.ALGO)
    replay.initialize(agent.env_spaces, B=B, T=T, discount=algo.discount, rng=rng)
    replay.append(samples)
    each = BATCH // world.size
    rows = slice(world.rank * each, (world.rank + 1) * each)
    batches = [replay.sample(BATCH)[rows] for _ in range(N_UPDATES)]
    algo._loop = SimpleNamespace(batches=lambda itr, samples: iter(batches), report=dict)
    noise = np.random.default_rng(2)
    if isinstance(algo, SAC):
        algo.normal = lambda rng, shape: torch.from_numpy(
            noise.standard_normal((BATCH, agent.action_size), dtype=np.float32)[rows]
        )


def rank_body(setup: tuple[Any, str], pipe: Any) -> None:
    """A process that was started as a role."""
    seat, kind = setup
    with seated(seat, CPU, ends=receive_ends(pipe, seat.size)) as world:
        send(pipe, learn(kind, world))
        world.meet()


if __name__ == "__main__":
    place = launched_seat(60.0)
    assert place is not None
    with seated(place, CPU) as launched:
        for chosen in KINDS:
            save_file(learn(chosen, launched), Path(sys.argv[1]) / f"{chosen}_{launched.rank}")
        launched.meet()
