"""The same run under each sampler gives the same parameters, bit for bit.

Arguments set the number of environment steps and of workers. ``group_size`` fixes how many
environments one inference call has, and with it the shape of every sum of floats. Workers import
this file again, hence the line ``if __name__ == "__main__"``.
"""

import sys
import time

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.checkpoint import state_hash
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import AlternatingSampler, BaseSampler, CpuSampler, GpuSampler, SerialSampler


def samplers(n_workers: int) -> dict[str, BaseSampler]:
    """One of each kind, for the same batches."""
    common = {"env": "CartPole-v1", "batch_T": 32, "batch_B": 8, "group_size": 2}
    parallel = {**common, "n_workers": n_workers}
    return {
        "serial": SerialSampler(**common),
        "cpu": CpuSampler(**parallel),
        "gpu": GpuSampler(**parallel),
        "alternating": AlternatingSampler(**parallel),
    }


def run(name: str, sampler: BaseSampler, n_steps: int) -> str:
    """Train, and return a hash of the parameters."""
    algo = PPO(discount=0.98, gae_lambda=0.8, learning_rate=1e-3, epochs=10, minibatches=1)
    runner = MinibatchRl(algo=algo, agent=PgAgent(), sampler=sampler, n_steps=n_steps, seed=0)
    with logger_context(default_log_dir(f"samplers_{name}"), 0, name) as logger:
        runner.train(logger)
    return state_hash(runner.agent.model.state_dict())


if __name__ == "__main__":
    n_steps = int(sys.argv[1]) if sys.argv[1:] else 20_000
    n_workers = int(sys.argv[2]) if sys.argv[2:] else 2
    found = {}
    for name, sampler in samplers(n_workers).items():
        start = time.perf_counter()
        found[name] = run(name, sampler, n_steps)
        print(f"{name}: {found[name][:16]} after {time.perf_counter() - start:.1f} s")
    assert len(set(found.values())) == 1, f"the samplers differ: {found}"
