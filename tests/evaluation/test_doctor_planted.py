"""The doctor names a bottleneck that was put into a real run."""

from functools import partial
from typing import Any

import pytest

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.ppo import PPO
from rlpyt.envs.build import EnvConfig
from rlpyt.evaluation.doctor import diagnose
from rlpyt.evaluation.measure import measure
from rlpyt.evaluation.profile import RunProfile
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.alternating import AlternatingSampler
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.cpu import CpuSampler
from rlpyt.samplers.gpu import GpuSampler
from rlpyt.samplers.serial import SerialSampler

TWO = {"n_workers": 2}
SAMPLERS = {
    "serial": SerialSampler,
    "cpu": partial(CpuSampler, **TWO),
    "gpu": partial(GpuSampler, **TWO),
    "alternating": partial(AlternatingSampler, **TWO),
}
every_sampler = pytest.mark.parametrize("kind", SAMPLERS)
every_parallel_sampler = pytest.mark.parametrize("kind", [k for k in SAMPLERS if k != "serial"])


def build(kind: str, *, epochs: int = 1, hidden: int = 8, **env: Any) -> MinibatchRl:
    sampler: BaseSampler = SAMPLERS[kind](
        env=EnvConfig(id="planted:Napping", kwargs=env), batch_T=16, batch_B=4
    )
    return MinibatchRl(
        algo=PPO(epochs=epochs, minibatches=1),
        agent=PgAgent(model_kwargs={"hidden_sizes": [hidden]}),
        sampler=sampler,
        n_steps=1_000,
    )


def measured(kind: str, **options: Any) -> RunProfile:
    return measure(partial(build, kind, **options), 1.0)


@every_sampler
def test_a_slow_environment(kind: str) -> None:
    profile = measured(kind, seconds=2e-3)
    diagnosis = diagnose(profile)
    assert diagnosis.limit == "sampler", diagnosis
    if kind == "serial" and profile.n_cpus > 1:
        assert any("--sampler" in advice.change for advice in diagnosis.advice), diagnosis


@every_sampler
def test_a_slow_learner(kind: str) -> None:
    diagnosis = diagnose(measured(kind, epochs=60, hidden=64))
    assert diagnosis.limit == "learner", diagnosis


@every_parallel_sampler
def test_one_straggling_worker(kind: str) -> None:
    profile = measured(kind, seconds=1e-3, slow_index=3, factor=8.0)
    diagnosis = diagnose(profile)
    assert diagnosis.limit == "straggler", diagnosis
    assert "worker 1" in diagnosis.evidence
    assert "2-3" in diagnosis.evidence + str(diagnosis.advice)
