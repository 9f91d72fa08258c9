"""Codes made for a machine, and refused by one: with errors that say what would fit."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rlpyt.launch import affinity as affinity_module
from rlpyt.launch import (
    affinity_from_code,
    decode_affinity,
    encode_affinity,
    get_n_run_slots,
    make_affinity,
    prepend_run_slot,
    quick_affinity_code,
    remove_run_slot,
)
from rlpyt.launch.machine import Machine, this_machine
from rlpyt.utils.cpus import Cpus
from rlpyt.utils.device_slots import VisibleDevices, device_name, visible_devices
from rlpyt.utils.errors import RlpytError


def cpus(ids: Any, count: int | None = None) -> Cpus:
    ids = tuple(ids)
    limits = () if count is None else (f"cgroup quota: {count} CPUs",)
    return Cpus(ids=ids, count=count or len(ids), limits=limits, restricted=False)


def topology(root: Path, siblings: dict[int, str], sockets: dict[int, int] | None = None) -> Path:
    """Files as the kernel has them."""
    for cpu, text in siblings.items():
        folder = root / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{text}\n")
        (folder / "physical_package_id").write_text(f"{(sockets or {}).get(cpu, 0)}\n")
    return root


def machine(
    n: int = 4, *, gpus: int = 0, letters: str = "gpu", first: int | None = 0, **more: Any
) -> Machine:
    given = {
        "cpus": cpus(range(first or 0, (first or 0) + n)),
        "n_cpu_core": n,
        "hyperthread_offset": 0,
        "n_socket": 1,
        "first_cpu": first,
        "devices": VisibleDevices(letters=letters, count=gpus),
    }
    return Machine(**given | more)


# --- detection ---------------------------------------------------------------------------------


def test_hyperthreads_and_sockets_are_detected(tmp_path):
    siblings = {cpu: f"{cpu % 8},{cpu % 8 + 8}" for cpu in range(16)}
    sockets = {cpu: cpu % 8 // 4 for cpu in range(16)}
    places = topology(tmp_path, siblings, sockets)
    found = this_machine(with_devices=False, cpus=cpus(range(16)), topology=places)
    assert (found.n_cpu_core, found.hyperthread_offset, found.n_socket) == (8, 8, 2)
    assert found.first_cpu == 0
    assert str(found.suggest(2)) == "8cpu_0gpu_4cpr_2skt"
    assert str(found.suggest(8)) == "8cpu_0gpu_1cpr_2skt"
    # Half of the machine, as a queue gives it: one socket and its hyperthreads.
    half = cpus([4, 5, 6, 7, 12, 13, 14, 15])
    found = this_machine(with_devices=False, cpus=half, topology=places)
    assert str(found.suggest(2)) == "4cpu_0gpu_2cpr_8hto_4off"
    affinity = affinity_from_code("1slt_4cpu_0gpu_2cpr_8hto_4off", found)
    assert affinity.all_cpus == (6, 7, 14, 15)


def test_hyperthreads_side_by_side_count_as_cores(tmp_path):
    siblings = {cpu: f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}" for cpu in range(8)}
    places = topology(tmp_path, siblings)
    found = this_machine(with_devices=False, cpus=cpus(range(8)), topology=places)
    assert (found.n_cpu_core, found.hyperthread_offset, found.first_cpu) == (8, 0, 0)


def test_sockets_that_take_turns_are_one(tmp_path):
    siblings = {cpu: str(cpu) for cpu in range(8)}
    places = topology(tmp_path, siblings, {cpu: cpu % 2 for cpu in range(8)})
    found = this_machine(with_devices=False, cpus=cpus(range(8)), topology=places)
    assert found.n_socket == 1


def test_cpus_in_no_row_or_shared_with_others_are_not_pinned(tmp_path):
    scattered = this_machine(with_devices=False, cpus=cpus([0, 3, 7]), topology=tmp_path)
    assert str(scattered.suggest()) == "3cpu_0gpu_1cpr_0hto_0saf"
    quota = this_machine(with_devices=False, cpus=cpus(range(64), 2), topology=tmp_path)
    assert str(quota.suggest()) == "2cpu_0gpu_1cpr_0hto_0saf"


def test_a_quota_counts_cpus_not_cores(tmp_path):
    siblings = {cpu: f"{cpu % 8},{cpu % 8 + 8}" for cpu in range(16)}
    places = topology(tmp_path, siblings)
    found = this_machine(with_devices=False, cpus=cpus(range(16), 4), topology=places)
    assert str(found.suggest()) == "2cpu_0gpu_1cpr_0hto_0saf"


def test_this_machine_has_a_code_that_fits_it():
    here = this_machine()
    code = decode_affinity("auto")
    assert code == here.suggest()
    here.check(code)
    for slot in range(get_n_run_slots("auto")):
        text = prepend_run_slot(slot, "auto")
        assert text == f"{slot}slt_{code}"
        affinity_from_code(text)
    with pytest.raises(RlpytError, match="no run slot 10000"):
        prepend_run_slot(10_000, "auto")


@pytest.mark.parametrize(
    ("here", "arguments", "code"),
    [
        (machine(4), {}, "4cpu_0gpu_1cpr_0hto"),
        (machine(4), {"n_parallel": 3}, "3cpu_0gpu_1cpr_0hto"),
        (machine(7), {"n_parallel": 2}, "6cpu_0gpu_3cpr_0hto"),
        (machine(4), {"n_parallel": 9}, "4cpu_0gpu_1cpr_0hto"),
        (machine(8, gpus=2), {}, "8cpu_2gpu_0hto"),
        (machine(8, gpus=2), {"n_parallel": 1}, "8cpu_1gpu_0hto"),
        (machine(9, gpus=2), {"contexts_per_gpu": 2}, "8cpu_2gpu_2cxg_0hto"),
        (machine(8, gpus=2), {"use_gpu": False, "n_parallel": 2}, "8cpu_0gpu_4cpr_0hto"),
        (machine(2, gpus=8), {}, "2cpu_2gpu_0hto"),
        (machine(8, gpus=4, letters="npu"), {}, "8cpu_4npu_0hto"),
        (
            machine(
                8, devices=VisibleDevices(letters="gpu", count=1, instances=("MIG-a", "MIG-b"))
            ),
            {},
            "8cpu_1gpu_2mig_0hto",
        ),
    ],
)
def test_quick_codes(monkeypatch, here, arguments, code):
    monkeypatch.setattr(affinity_module, "this_machine", lambda with_devices: here)
    assert quick_affinity_code(**arguments) == code
    here.check(decode_affinity(code))


def test_what_is_left_out_is_detected(monkeypatch):
    big = machine(16, hyperthread_offset=24, n_socket=2, cpus=cpus(range(48)))
    monkeypatch.setattr(affinity_module, "this_machine", lambda with_devices: big)
    code = encode_affinity(n_cpu_core=16, n_gpu=8, gpu_per_run=2)
    assert code == "16cpu_8gpu_2gpr_24hto_2skt"
    assert encode_affinity(n_cpu_core=6, n_gpu=3) == "6cpu_3gpu_24hto"  # 3 on 2 sockets cannot be
    assert encode_affinity(n_cpu_core=4, n_socket=1) == "4cpu_0gpu_1cpr_24hto"
    assert make_affinity(1, n_cpu_core=4, cpu_per_run=2).all_cpus == (12, 13, 36, 37)


def test_accelerators_of_a_process(monkeypatch):
    assert device_name("gpu", None) == "cpu"
    assert device_name("npu", 3) == "npu:3"

    def pretend(name: str | None, count: int = 3) -> None:
        found = None if name is None else torch.device(name)
        monkeypatch.setattr(
            torch.accelerator, "current_accelerator", lambda check_available=False: found
        )
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: count if found else 0)

    pretend("cuda")
    assert visible_devices({}) == VisibleDevices(letters="gpu", count=3)
    environ = {"CUDA_VISIBLE_DEVICES": "MIG-1/2/3, MIG-4"}
    assert visible_devices(environ).instances == ("MIG-1/2/3", "MIG-4")
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "0,1"}).instances == ()
    assert device_name("gpu", 1) == "cuda:1"
    pretend("xpu")
    assert device_name("gpu", 1) == "xpu:1"
    pretend(None)
    assert visible_devices({}).count == 0
    assert device_name("gpu", 0) == "cuda:0"


# --- what does not fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "here", "what", "hint"),
    [
        (
            "0slt_8cpu_0gpu_4cpr",
            machine(4),
            "needs CPUs 0-3,8-11 for slot 0, and this process may use 0-3",
            "4cpu_0gpu_1cpr_0hto would fit",
        ),
        (
            "0slt_4cpu_4gpu",
            machine(4, gpus=2),
            "needs 4 devices, and this machine has 2",
            "4cpu_2gpu_0hto would fit",
        ),
        (
            "0slt_4cpu_2gpu_0hto",
            machine(4, gpus=2, letters="npu"),
            "needs devices 'gpu', and this machine has 'npu'",
            "4cpu_2npu_0hto would fit",
        ),
        ("0slt_4cpu_1gpu_0hto", machine(4), "needs 1 device, and", "4cpu_0gpu_1cpr_0hto would"),
        (
            "0slt_4cpu_1gpu_2mig_0hto",
            machine(4, gpus=1),
            "needs 2 MIG instances, and this process sees 0",
            "nvidia-smi -L",
        ),
    ],
)
def test_a_code_that_does_not_fit_says_what_would(code, here, what, hint):
    with pytest.raises(RlpytError) as caught:
        affinity_from_code(code, here)
    assert caught.value.code == "affinity"
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert remove_run_slot(code)[1] in caught.value.where


def test_a_limit_is_named():
    here = machine(2, cpus=Cpus(ids=(0, 1), count=2, limits=("affinity mask: 2",), restricted=True))
    with pytest.raises(RlpytError, match=r"may use 0-1 \(affinity mask: 2\)"):
        here.check(decode_affinity("4cpu_0gpu_1cpr_0hto"))


def test_the_launcher_checks_all_slots_and_a_run_its_own():
    """A run's process may have been given its slot's CPUs alone."""
    inside = machine(2, cpus=cpus([2, 3]), first=2)
    code = decode_affinity("4cpu_0gpu_2cpr_0hto")
    inside.check(code, 1)
    for slot in (0, None):
        with pytest.raises(RlpytError, match="needs CPUs 0-"):
            inside.check(code, slot)


def test_without_pinning_runs_may_share_cpus():
    assert affinity_from_code("3slt_8cpu_0gpu_2cpr_0hto_0saf", machine(2)).set_affinity is False


@pytest.mark.parametrize(
    ("code", "what", "hint"),
    [
        ("", "'' is not a number and three letters", "8cpu_2gpu"),
        ("cpu", "'cpu' is not a number", ""),
        ("-1cpu", "'-1cpu' is not", ""),
        ("8cpu_2gpus", "'2gpus' is not", ""),
        ("8cpu_2gup", "unknown letters 'gup'", "did you mean 'gpu'?"),
        ("8cpu_٣gpu", "'٣gpu' is not", ""),
        ("8cpu_99999999999gpu", "is not a number", ""),
        ("8cpu_2gpu_4cpu", "'cpu' a second time", ""),
        ("8cpu_2gpu_2npu", "'npu' a second time", ""),
        ("8cpu_2gpu_2alt", "'2alt': alt is 0 or 1", ""),
        ("0slt_8cpu_2gpu", "a run slot in a code", "affinity_from_code"),
        ("2gpu", "no number of cores", "8cpu_2gpu"),
        ("8cpu", "neither accelerators nor cores for each run", "8cpu_1cpr"),
        ("8cpu_0gpu_0cpr", "cpu_per_run=0 (cpr) takes a whole number, 1 or more", ""),
        ("0cpu_1gpu", "n_cpu_core=0 (cpu)", ""),
        ("8cpu_0gpu_3cpr", "8 cores cannot be divided into runs of 3", "use 6 cores"),
        ("2cpu_0gpu_4cpr", "2 cores cannot be divided into runs of 4", "use 4 cores"),
        ("8cpu_2gpu_2cpr", "cpu_per_run beside accelerators", "leave it out"),
        ("8cpu_0gpu_1cpr_1ass", "async_sample without an accelerator", "leave it out"),
        ("8cpu_0gpu_1cpr_2cxg", "contexts_per_gpu without an accelerator", ""),
        ("8cpu_2gpu_1sgr", "for asynchronous sampling", "add 1ass"),
        ("8cpu_2gpu_2cxg_2gpr", "runs that share accelerators", "leave out cxg"),
        ("8cpu_2gpu_3gpr", "a run takes 3 of 2 devices", "take fewer"),
        ("8cpu_2gpu_1ass_2sgr", "a run takes 3 of 2 devices", "take fewer"),
        ("8cpu_2gpu_1ass_0res", "reserves at least a core", "leave out 0res"),
        ("8cpu_2gpu_4hto", "a hyperthread offset of 4 with 8 cores", "at most 4 cores"),
        ("8cpu_1gpu_2mig_2gpr", "one part of a GPU only", "leave out gpr"),
        ("8cpu_1npu_2mig", "parts (mig) of an npu", "leave out mig"),
    ],
)
def test_what_is_no_code_says_why(code, what, hint):
    with pytest.raises(RlpytError) as caught:
        decode_affinity(code)
    assert caught.value.code == "affinity"
    assert what in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("2slt_8cpu_2gpu_0hto", "no run slot 2: there are 2, from 0"),
        ("4slt_4cpu_0gpu_1cpr_0hto", "no run slot 4: there are 4"),  # which rlpyt 0.1 lets pass
        ("8cpu_2gpu", "does not begin with a run slot"),
        ("xslt_8cpu_2gpu", "does not begin with a run slot"),
        ("slt_8cpu", "does not begin with a run slot"),
        ("0slt", "does not begin with a run slot"),
        ("0slt_7cpu_2gpu", "7 cores cannot be divided among 2"),
        ("0slt_8cpu_2gpu_3cpw", "4 cores, 0 reserved, cannot be divided into workers of 3"),
        ("0slt_4cpu_2gpu_2res", "2 cores, 2 reserved, cannot be divided into workers of 1"),
        ("0slt_12cpu_3gpu_2skt", "3 parts for 2 sockets"),
        ("0slt_3cpu_3gpu_2skt", "3 of 3 cores for 2 sockets"),
        ("0slt_6cpu_0gpu_3cpr_4skt", "6 of 6 cores for 4 sockets"),
        ("0slt_4cpu_4gpu_1ass", "1 core of a run, 1 reserved, leave no worker"),
        ("0slt_24cpu_3gpu_2skt_1ass", "3 devices for 2 sockets"),
        ("0slt_24cpu_4gpu_3gpr_2skt_1ass", "1 run of 3 devices to learn and 0 to sample on"),
    ],
)
def test_slots_that_cannot_be_say_why(code, what):
    with pytest.raises(RlpytError) as caught:
        affinity_from_code(code, machine(64, gpus=8, cpus=cpus(range(128))))
    assert caught.value.code == "affinity"
    assert what in caught.value.what


def test_settings_are_checked_by_name_and_number():
    with pytest.raises(RlpytError, match="did you mean 'n_gpu'"):
        encode_affinity(n_gpus=2)  # type: ignore[call-arg]  # the point
    with pytest.raises(RlpytError, match=r"n_gpu=2.5 \(gpu\)"):
        encode_affinity(n_gpu=2.5)  # type: ignore[typeddict-item]  # the point
    with pytest.raises(RlpytError, match=r"alternating=1 .*takes True or False"):
        encode_affinity(alternating=1)  # type: ignore[typeddict-item]  # the point
    with pytest.raises(RlpytError, match=r"accelerator='gup'.* did you mean 'gpu'"):
        encode_affinity(accelerator="gup")
    with pytest.raises(RlpytError, match="no run slot 4"):
        encode_affinity(n_cpu_core=4, hyperthread_offset=0, n_socket=1, run_slot=4)
    for arguments in ({"n_parallel": 0}, {"contexts_per_gpu": 0}):
        with pytest.raises(RlpytError, match="=0 - use 1 or more"):
            quick_affinity_code(**arguments, use_gpu=False)
    with pytest.raises(RlpytError, match="contexts_per_gpu=8 on 4 usable cores"):
        machine(4, gpus=1).suggest(contexts_per_gpu=8)
