"""From a slot to our own objects: devices, threads and CPUs of runners and samplers."""

import pytest

from rlpyt.agents.dqn import DqnAgent
from rlpyt.algos.dqn.dqn import DQN
from rlpyt.launch.code import parsed_code
from rlpyt.launch.layout import slot_affinity
from rlpyt.launch.slot import Affinity, BaseAffinity
from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.runners.sync_rl import SyncRl
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.cpu import CpuSampler
from rlpyt.samplers.gpu import GpuSampler
from rlpyt.samplers.plan import plan_workers
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.cpus import CpuAffinity, Cpus
from rlpyt.utils.errors import RlpytError

SERIAL = SerialSampler(env="CartPole-v1", batch_T=8, batch_B=4)
CPU = CpuSampler(env="CartPole-v1", batch_T=8, batch_B=4)


def slot(code: str, run_slot: int = 0) -> BaseAffinity:
    return slot_affinity(parsed_code(code), run_slot)


def runner(cls: type[BaseRunner] = MinibatchRl, sampler: BaseSampler = CPU) -> BaseRunner:
    return cls(algo=DQN(), agent=DqnAgent(), sampler=sampler, n_steps=1000)


def test_one_process():
    before = runner()
    found = slot("8cpu_2gpu", 1).assign(before)
    assert isinstance(found, MinibatchRl)
    assert (found.device, found.torch_threads) == ("cuda:1", 4)
    assert isinstance(found.sampler, CpuSampler)
    assert found.sampler.affinity == CpuAffinity(
        workers=[[4, 12], [5, 13], [6, 14], [7, 15]], master=[4, 5, 6, 7, 12, 13, 14, 15]
    )
    assert before == runner()  # a copy


def test_the_plan_of_a_sampler_is_the_slots():
    found = slot("4cpu_0gpu_2cpr_0hto", 1).assign(runner(sampler=GpuSampler(**vars_of(CPU))))
    assert found.device == "cpu"
    assert isinstance(found.sampler, GpuSampler)
    here = Cpus(ids=(0, 1, 2, 3), count=4, limits=(), restricted=False)
    affinity = found.sampler.affinity
    plan = plan_workers(batch_B=4, n_workers=None, group_size=None, affinity=affinity, cpus=here)
    assert (plan.cpus, plan.master_cpus, plan.warnings) == (((2,), (3,)), (2, 3), ())


def vars_of(sampler: BaseSampler) -> dict[str, object]:
    return {"env": sampler.env, "batch_T": sampler.batch_T, "batch_B": sampler.batch_B}


def test_a_serial_sampler_has_no_cpus_of_its_own():
    found = slot("4cpu_0gpu_2cpr_0hto", 1).assign(runner(sampler=SERIAL))
    assert found.sampler == SERIAL
    assert found.torch_threads == 2


def test_unpinned_workers_and_their_threads():
    affinity = slot("8cpu_1gpu_2cpw_0hto_0saf")
    assert isinstance(affinity, Affinity)
    assert affinity.cpu_affinity() == CpuAffinity(
        workers=[[0, 1], [2, 3], [4, 5], [6, 7]],
        master=[*range(8)],
        set_affinity=False,
        worker_torch_threads=2,
    )


def test_several_ranks_have_a_device_each_and_share_the_cpus():
    found = slot("16cpu_8gpu_2gpr_0hto", 1).assign(runner(SyncRl))
    assert isinstance(found, SyncRl)
    assert (found.world_size, found.device, found.torch_threads) == (2, "cuda:2,cuda:3", 2)
    assert isinstance(found.sampler, CpuSampler)
    assert found.sampler.affinity is not None
    assert found.sampler.affinity.set_affinity is False
    assert len(found.sampler.affinity.workers) == 2
    on_cpu = slot("4cpu_0gpu_4cpr_0hto").assign(runner(SyncRl))
    assert isinstance(on_cpu.sampler, CpuSampler)
    assert on_cpu.sampler.affinity is not None
    assert on_cpu.sampler.affinity.set_affinity is False


def test_sampling_while_learning():
    found = slot("8cpu_2gpu_0hto_1ass_1oss", 1).assign(runner(AsyncRl))
    assert isinstance(found, AsyncRl)
    assert (found.world_size, found.device, found.torch_threads) == (1, "cuda:1", 1)
    assert isinstance(found.sampler, CpuSampler)
    assert found.sampler.affinity == CpuAffinity(workers=[[5], [6], [7]], master=[5, 6, 7])
    on_cpu = slot("8cpu_2gpu_2gpr_0hto_1ass").assign(runner(AsyncRl))
    assert isinstance(on_cpu, AsyncRl)
    assert (on_cpu.world_size, on_cpu.device) == (2, "cuda:0,cuda:1")
    assert isinstance(on_cpu.sampler, CpuSampler)
    assert on_cpu.sampler.affinity is not None
    assert on_cpu.sampler.affinity.workers == [[2], [3], [4], [5], [6], [7]]
    both = slot("8cpu_2gpu_2gpr_0hto_1ass_1oss").assign(runner(AsyncRl))
    assert isinstance(both.sampler, CpuSampler)
    assert both.sampler.affinity == CpuAffinity(
        workers=[[2], [3], [4], [5], [6], [7]], master=[2, 3, 4, 5, 6, 7]
    )


@pytest.mark.parametrize(
    ("code", "cls", "what", "hint"),
    [
        ("8cpu_2gpu_2gpr", MinibatchRl, "2 devices for a MinibatchRl", "use SyncRl"),
        ("8cpu_2gpu_1ass", MinibatchRl, "asynchronous sampling for a MinibatchRl", "use AsyncRl"),
        ("8cpu_2gpu_1ass_1sgr", AsyncRl, "devices ['1'] to sample on alone", "write 1oss"),
    ],
)
def test_runners_that_cannot(code, cls, what, hint):
    with pytest.raises(RlpytError) as caught:
        slot(code).assign(runner(cls))
    assert what in caught.value.what
    assert hint in caught.value.hint
