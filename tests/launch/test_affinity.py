"""Codes and what they decode to: those of rlpyt 0.1, written out by hand."""

from typing import Any

import pytest

from rlpyt.launch import (
    AffinityCode,
    affinity_from_code,
    decode_affinity,
    encode_affinity,
    get_n_run_slots,
    make_affinity,
    prepend_run_slot,
    remove_run_slot,
)
from rlpyt.launch.machine import Machine
from rlpyt.utils.cpus import Cpus
from rlpyt.utils.device_slots import VisibleDevices

BIG = Machine(
    cpus=Cpus(ids=tuple(range(96)), count=96, limits=(), restricted=False),
    n_cpu_core=48,
    hyperthread_offset=48,
    n_socket=1,
    first_cpu=0,
    devices=VisibleDevices(letters="gpu", count=8),
)


def decoded(code: str) -> Any:
    return affinity_from_code(code, BIG).as_dict()


def plain(cpus: tuple[int, ...], workers: tuple[tuple[int, ...], ...], **more: Any) -> Any:
    """A dictionary with the CPUs of the master, and what else differs from a plain run."""
    return {
        "all_cpus": cpus,
        "master_cpus": cpus,
        "workers_cpus": workers,
        "master_torch_threads": len(cpus),
        "worker_torch_threads": 1,
        "alternating": False,
        "set_affinity": True,
    } | more


def alone(*cpus: int) -> tuple[tuple[int, ...], ...]:
    """A worker on each."""
    return tuple((cpu,) for cpu in cpus)


def test_cpu_slots():
    code = "4cpu_0gpu_2cpr"
    assert get_n_run_slots(code) == 2
    assert decoded(f"0slt_{code}") == plain((0, 1, 4, 5), ((0, 4), (1, 5)), master_torch_threads=2)
    assert decoded(f"1slt_{code}") == plain((2, 3, 6, 7), ((2, 6), (3, 7)), master_torch_threads=2)


def test_gpu_slots():
    code = "8cpu_2gpu"
    assert get_n_run_slots(code) == 2
    assert decoded(f"0slt_{code}") == plain(
        (0, 1, 2, 3, 8, 9, 10, 11),
        ((0, 8), (1, 9), (2, 10), (3, 11)),
        master_torch_threads=4,
        cuda_idx=0,
    )
    assert decoded(f"1slt_{code}") == plain(
        (4, 5, 6, 7, 12, 13, 14, 15),
        ((4, 12), (5, 13), (6, 14), (7, 15)),
        master_torch_threads=4,
        cuda_idx=1,
    )


def test_contexts_spread_over_the_devices_first():
    code = "8cpu_2gpu_2cxg_0hto"
    assert get_n_run_slots(code) == 4
    assert [decoded(f"{slot}slt_{code}") for slot in range(4)] == [
        plain((0, 1), alone(0, 1), cuda_idx=0),
        plain((4, 5), alone(4, 5), cuda_idx=1),
        plain((2, 3), alone(2, 3), cuda_idx=0),
        plain((6, 7), alone(6, 7), cuda_idx=1),
    ]


def test_several_devices_in_a_run_on_two_sockets():
    code = "16cpu_8gpu_2gpr_24hto_2skt"
    assert get_n_run_slots(code) == 4

    def rank(cuda_idx: int, core: int) -> Any:
        twins = (core + 24, core + 25)
        workers = ((core, core + 24), (core + 1, core + 25))
        cpus = (core, core + 1, *twins)
        return plain(cpus, workers, master_torch_threads=2, cuda_idx=cuda_idx)

    assert decoded(f"0slt_{code}") == [rank(0, 0), rank(1, 2)]
    assert decoded(f"1slt_{code}") == [rank(2, 4), rank(3, 6)]
    assert decoded(f"2slt_{code}") == [rank(4, 12), rank(5, 14)]
    assert decoded(f"3slt_{code}") == [rank(6, 16), rank(7, 18)]


def test_asynchronous_with_samplers_of_their_own_alternating():
    code = "24cpu_4gpu_1ass_2sgr_1alt"
    assert get_n_run_slots(code) == 1

    def sampler(cuda_idx: int, first: int) -> Any:
        cores = tuple(range(first, first + 11))
        cpus = (*cores, *(core + 24 for core in cores))
        return plain(
            cpus, alone(*cpus), master_torch_threads=11, cuda_idx=cuda_idx, alternating=True
        )

    samplers = [sampler(1, 1), sampler(2, 12)]
    found = decoded(f"0slt_{code}")
    assert found == {
        "all_cpus": (0, 24, *samplers[0]["all_cpus"], *samplers[1]["all_cpus"]),
        "optimizer": [
            {"cpus": (0, 24), "cuda_idx": 0, "torch_threads": 1, "set_affinity": True},
        ],
        "sampler": samplers,
        "set_affinity": True,
    }
    assert len(found["sampler"][0]["workers_cpus"]) == 22


def test_asynchronous_with_a_sampler_on_the_cpu():
    code = "8cpu_1gpu_1ass"
    assert get_n_run_slots(code) == 1
    cpus = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15)
    workers = ((1, 9), (2, 10), (3, 11), (4, 12), (5, 13), (6, 14), (7, 15))
    assert decoded(f"0slt_{code}") == {
        "all_cpus": (0, 8, *cpus),
        "optimizer": [{"cpus": (0, 8), "cuda_idx": 0, "torch_threads": 1, "set_affinity": True}],
        "sampler": plain(cpus, workers, master_torch_threads=7, cuda_idx=None),
        "set_affinity": True,
    }


def test_asynchronous_with_a_sampler_that_shares_the_device():
    code = "8cpu_2gpu_1res_1ass_1oss"
    assert get_n_run_slots(code) == 2

    def slot(cuda_idx: int, core: int) -> Any:
        learner = (core, core + 8)
        cpus = (core + 1, core + 2, core + 3, core + 9, core + 10, core + 11)
        workers = ((core + 1, core + 9), (core + 2, core + 10), (core + 3, core + 11))
        return {
            "all_cpus": (*learner, *cpus),
            "optimizer": [
                {"cpus": learner, "cuda_idx": cuda_idx, "torch_threads": 1, "set_affinity": True}
            ],
            "sampler": [plain(cpus, workers, master_torch_threads=3, cuda_idx=cuda_idx)],
            "set_affinity": True,
        }

    assert decoded(f"0slt_{code}") == slot(0, 0)
    assert decoded(f"1slt_{code}") == slot(1, 4)


def test_an_asynchronous_run_over_two_sockets_keeps_samplers_off_the_learners_cores():
    """Where rlpyt 0.1 gives samplers the CPUs of learners, and CPU -2."""
    found = decoded("0slt_12cpu_2gpu_2gpr_0hto_2skt_1ass_1oss")
    assert [one["cpus"] for one in found["optimizer"]] == [(0,), (6,)]
    assert [one["all_cpus"] for one in found["sampler"]] == [(1, 2, 3, 4, 5), (7, 8, 9, 10, 11)]
    assert [one["cuda_idx"] for one in found["sampler"]] == [0, 1]
    found = decoded("0slt_24cpu_8gpu_8gpr_0hto_2skt_1ass")
    learners = [one["cpus"] for one in found["optimizer"]]
    assert learners == [(0,), (1,), (2,), (3,), (12,), (13,), (14,), (15,)]
    assert found["sampler"]["all_cpus"] == (*range(4, 12), *range(16, 24))


def test_reserved_cores_larger_workers_and_what_is_not_pinned():
    found = decoded("0slt_6cpu_1gpu_2cpw_0hto_2res_0saf")
    assert found == plain(
        (0, 1, 2, 3, 4, 5),
        ((2, 3), (4, 5)),
        worker_torch_threads=2,
        set_affinity=False,
        cuda_idx=0,
    )


def test_alternating_without_hyperthreads_has_every_core_twice():
    found = decoded("0slt_2cpu_1gpu_0hto_1alt")
    assert found["workers_cpus"] == ((0,), (1,), (0,), (1,))
    assert decoded("0slt_2cpu_1gpu_1alt")["workers_cpus"] == ((0,), (1,), (2,), (3,))


def test_a_run_over_several_sockets_has_as_many_cores_of_each():
    assert decoded("0slt_8cpu_0gpu_8cpr_0hto_2skt")["all_cpus"] == tuple(range(8))
    found = decoded("0slt_8cpu_0gpu_8cpr_24hto_2skt")
    assert found["all_cpus"][:8] == (0, 1, 2, 3, 12, 13, 14, 15)


def test_the_first_cpu_moves_all():
    found = decoded("1slt_4cpu_0gpu_2cpr_8hto_12off")
    assert found == plain((14, 15, 22, 23), ((14, 22), (15, 23)), master_torch_threads=2)


# --- the code itself ---------------------------------------------------------------------------

NO_DETECTION = {"hyperthread_offset": 0, "n_socket": 1}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"n_cpu_core": 4, "cpu_per_run": 2, "hyperthread_offset": 4}, "4cpu_0gpu_2cpr"),
        ({"n_cpu_core": 4}, "4cpu_0gpu_1cpr_0hto"),
        ({"n_cpu_core": 8, "n_gpu": 2, "hyperthread_offset": 8}, "8cpu_2gpu"),
        ({"n_cpu_core": 8, "n_gpu": 2, "cpu_per_run": 4}, "8cpu_2gpu_0hto"),
        (
            {"n_cpu_core": 8, "n_gpu": 2, "contexts_per_gpu": 2, "hyperthread_offset": 0},
            "8cpu_2gpu_2cxg_0hto",
        ),
        (
            {
                "n_cpu_core": 16,
                "n_gpu": 8,
                "gpu_per_run": 2,
                "hyperthread_offset": 24,
                "n_socket": 2,
            },
            "16cpu_8gpu_2gpr_24hto_2skt",
        ),
        (
            {
                "n_cpu_core": 24,
                "n_gpu": 4,
                "async_sample": True,
                "sample_gpu_per_run": 2,
                "alternating": True,
                "hyperthread_offset": 24,
            },
            "24cpu_4gpu_1ass_2sgr_1alt",
        ),
        (
            {
                "n_cpu_core": 8,
                "n_gpu": 2,
                "cpu_reserved": 1,
                "async_sample": True,
                "optim_sample_share_gpu": True,
                "hyperthread_offset": 8,
                "run_slot": 1,
            },
            "1slt_8cpu_2gpu_1res_1ass_1oss",
        ),
        (
            {"n_cpu_core": 8, "cpu_per_run": 4, "cpu_per_worker": 2, "set_affinity": False},
            "8cpu_0gpu_4cpr_2cpw_0hto_0saf",
        ),
        ({"n_cpu_core": 8, "n_gpu": 4, "accelerator": "npu"}, "8cpu_4npu_0hto"),
        ({"n_cpu_core": 8, "n_gpu": 1, "instances_per_gpu": 4}, "8cpu_1gpu_4mig_0hto"),
        ({"n_cpu_core": 8, "n_gpu": 1, "first_cpu": 8}, "8cpu_1gpu_0hto_8off"),
    ],
)
def test_codes_are_written_as_ever(settings: dict[str, Any], code: str):
    assert encode_affinity(**NO_DETECTION | settings) == code


def test_the_fields_of_a_code():
    code = decode_affinity("24cpu_4gpu_1ass_2sgr_1alt")
    assert code == AffinityCode(
        n_cpu_core=24,
        n_gpu=4,
        hyperthread_offset=24,
        async_sample=True,
        sample_gpu_per_run=2,
        alternating=True,
    )
    assert str(code) == "24cpu_4gpu_1ass_2sgr_1alt"
    assert decode_affinity("2cpr_8cpu_0saf").set_affinity is False  # in any order, without gpu


def test_slots_before_codes():
    assert prepend_run_slot(3, "16cpu_8gpu_2gpr_24hto_2skt") == "3slt_16cpu_8gpu_2gpr_24hto_2skt"
    assert remove_run_slot("3slt_16cpu_8gpu_2gpr") == (3, "16cpu_8gpu_2gpr")


def test_the_last_slot_of_cpus_can_be_encoded():
    """In rlpyt 0.1 an assertion: it counts the devices, of which there are none."""
    assert encode_affinity(n_cpu_core=4, run_slot=3, **NO_DETECTION) == "3slt_4cpu_0gpu_1cpr_0hto"


def test_make_affinity_is_encoding_and_decoding():
    made = make_affinity(1, n_cpu_core=4, cpu_per_run=2, set_affinity=False, **NO_DETECTION)
    assert made.as_dict() == decoded("1slt_4cpu_0gpu_2cpr_0hto_0saf")


# --- npu and mig -------------------------------------------------------------------------------


def test_npus_are_as_gpus_with_another_name():
    devices = VisibleDevices(letters="npu", count=2)
    machine = Machine(**{**vars(BIG), "devices": devices})
    found = affinity_from_code("1slt_8cpu_2npu", machine)
    assert found.as_dict() == decoded("1slt_8cpu_2gpu")
    assert found.devices == ("npu:1",)
    run = affinity_from_code("0slt_8cpu_2npu_2gpr", machine)
    assert run.devices == ("npu:0", "npu:1")
    assert affinity_from_code("1slt_8cpu_2npu_1ass_1oss", machine).devices == ("npu:1",)


def test_parts_of_gpus():
    names = tuple(f"MIG-{letter}" for letter in "abcd")
    devices = VisibleDevices(letters="gpu", count=1, instances=names)
    machine = Machine(**{**vars(BIG), "devices": devices})
    code = "8cpu_1gpu_4mig_0hto"
    assert get_n_run_slots(code) == 4
    found = affinity_from_code(f"2slt_{code}", machine)
    assert found.as_dict() == plain((4, 5), alone(4, 5), cuda_idx=0)
    assert found.environment(devices) == {"CUDA_VISIBLE_DEVICES": "MIG-c"}
    # In the run itself only that one is visible.
    own = VisibleDevices(letters="gpu", count=1, instances=("MIG-c",))
    inside = affinity_from_code(f"2slt_{code}", Machine(**{**vars(BIG), "devices": own}))
    assert inside.devices == ("cuda:0",)
    shared = affinity_from_code(f"3slt_{code}_1ass_1oss", machine)
    assert shared.environment(devices) == {"CUDA_VISIBLE_DEVICES": "MIG-d"}
    assert shared.devices == ("cuda:0",)
    assert affinity_from_code("1slt_8cpu_2gpu", BIG).environment(devices) == {}
