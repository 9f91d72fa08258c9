"""Devices by name: "auto" is what is here, the rest is torch's or an error with a remedy."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from torch import distributed

from rlpyt.utils.device import (
    can_pin,
    collective_backend,
    describe_devices,
    pinned_like,
    rank_device,
    resolve_device,
)
from rlpyt.utils.errors import RlpytError


@pytest.fixture
def accelerator(monkeypatch):
    """Pretend that this machine has so many of this accelerator, or none."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch_npu" else find_spec(name)
    )

    def pretend(name, count=2, built=None):
        found = None if name is None else torch.device(name)
        known = found if built is None else torch.device(built)

        def current(check_available=False):
            return found if check_available else known

        monkeypatch.setattr(torch.accelerator, "current_accelerator", current)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: count if found else 0)

    return pretend


def error_of(call, *args) -> str:
    """The error of code ``device``, in one line."""
    with pytest.raises(RlpytError) as caught:
        call(*args)
    assert caught.value.code == "device"
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- names ---


@pytest.mark.parametrize(("here", "found"), [(None, "cpu"), ("cuda", "cuda"), ("xpu:1", "xpu:1")])
def test_auto_is_the_accelerator_or_the_cpu(accelerator, here, found):
    accelerator(here)
    assert resolve_device("auto") == torch.device(found)


def test_names_that_are_here(accelerator):
    accelerator("cuda")
    assert resolve_device("cpu") == resolve_device("cpu:0") == torch.device("cpu")
    assert resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("device", "remedy"),
    [
        ("cuda", "install a CUDA (or ROCm) build of torch"),
        ("cuda:0", "install a CUDA (or ROCm) build of torch"),
        ("npu", "pip install torch_npu, in the version made for torch 2."),
        ("npu:3", "pip install torch_npu, in the version made for torch 2."),
        ("mps", "macOS on Apple silicon"),
        ("xpu:1", "install an XPU build of torch"),
        ("meta", "is the package that adds it to torch installed"),
    ],
)
def test_a_device_that_is_not_here_says_what_to_install(accelerator, device, remedy):
    accelerator(None)
    error = error_of(resolve_device, device)
    assert repr(device) in error or "'npu' needs the package torch_npu" in error
    assert "(here: cpu) - " in error
    assert remedy in error.partition(" - ")[2]


def test_a_build_that_finds_no_driver_says_where_to_look(accelerator):
    accelerator(None, built="cuda")
    assert "finds no GPU: see nvidia-smi" in error_of(resolve_device, "cuda")
    assert resolve_device("auto") == torch.device("cpu")


def test_another_accelerator_than_the_one_here(accelerator):
    accelerator("xpu", 1)
    assert "'cuda' is not here (here: cpu, xpu:0) - " in error_of(resolve_device, "cuda")


@pytest.mark.parametrize("device", ["cuda:2", "cuda:256", "cuda:99"])
def test_an_index_beyond_the_last_one_says_how_many_there_are(accelerator, device):
    accelerator("cuda", 2)
    error = error_of(resolve_device, device)
    assert f"{device!r} is not here: this machine has 2 cuda devices" in error
    assert "(here: cpu, cuda:0 to cuda:1)" in error


def test_there_is_one_cpu(accelerator):
    accelerator(None)
    assert "this machine has 1 cpu device" in error_of(resolve_device, "cpu:1")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "CPU", "cpu,cuda", "cuda:-1"])
def test_an_unknown_name(accelerator, device):
    accelerator("cuda")
    error = error_of(resolve_device, device)
    assert f"unknown device {device!r}" in error
    assert "use one of: auto, cpu, cuda, cuda:1, npu, npu:0, mps" in error


def test_importing_rlpyt_does_not_look_for_torch_npu():
    program = """if True:
        import builtins, importlib.util, sys
        looked = []
        class Finder:
            def find_spec(self, name, path=None, target=None):
                looked.append(name)
        sys.meta_path.insert(0, Finder())
        import torch
        before = "torch_npu" in looked
        import rlpyt.runners
        assert before or "torch_npu" not in looked
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- the ranks of a group ---


def test_each_rank_takes_its_own_accelerator(accelerator):
    accelerator("cuda", 2)
    assert rank_device(torch.device("cpu"), 5) == torch.device("cpu")
    assert rank_device(torch.device("cuda"), 0) == torch.device("cuda:0")
    assert rank_device(torch.device("cuda"), 1) == torch.device("cuda:1")


def test_more_ranks_than_accelerators(accelerator):
    accelerator("cuda", 2)
    error = error_of(rank_device, torch.device("cuda"), 2)
    assert "3 ranks on this machine, for 2 cuda devices" in error


def test_several_ranks_do_not_share_one_accelerator(accelerator):
    accelerator("cuda", 2)
    assert rank_device(torch.device("cuda:1"), 0) == torch.device("cuda:1")
    error = error_of(rank_device, torch.device("cuda:1"), 1)
    assert "cuda:1" in error
    assert "(local rank 1) - write 'cuda' without an index" in error


# --- how they talk ---


@pytest.mark.parametrize(
    ("device", "backend"), [("cpu", "gloo"), ("cuda:1", "nccl"), ("xpu", "xccl")]
)
def test_the_collective_backend_of_a_device(monkeypatch, device, backend):
    monkeypatch.setattr(distributed, "is_backend_available", lambda name: True)
    assert collective_backend(torch.device(device)) == backend


@pytest.mark.parametrize("device", ["mps", "meta"])
def test_a_device_without_a_collective_backend(device):
    error = error_of(collective_backend, torch.device(device))
    assert f"has no backend for {device}" in error
    assert "'cpu'" in error


def test_a_build_without_the_collective_backend(monkeypatch):
    monkeypatch.setattr(distributed, "is_backend_available", lambda name: False)
    error = error_of(collective_backend, torch.device("cuda"))
    assert "built without nccl, which cuda needs" in error
    monkeypatch.setattr(distributed, "is_available", lambda: False)
    assert "built without gloo" in error_of(collective_backend, torch.device("cpu"))
    assert "no backend for mps" in error_of(collective_backend, torch.device("mps"))


# --- memory, and what is here ---


@pytest.mark.parametrize("here", [None, "cuda"])
def test_memory_is_ordinary_where_none_can_be_pinned(accelerator, here):
    if torch.accelerator.is_available():
        pytest.skip("here it can")
    accelerator(here)
    assert not can_pin()
    assert not pinned_like(torch.zeros(3)).is_pinned()


def test_what_is_here_without_an_accelerator(accelerator):
    accelerator(None)
    devices = describe_devices()
    assert devices.auto == "cpu"
    assert devices.accelerators == ()
    assert devices.cpus.count >= 1
    assert devices.torch_version == torch.__version__
    assert devices.extensions == {"torch_npu": ""}
    assert devices.collectives["gloo"] == distributed.is_gloo_available()
    assert set(devices.collectives) == {"gloo", "nccl", "hccl", "xccl"}
    assert set(devices.remedies) == {"cuda", "npu", "mps", "xpu"}
    assert devices.problem == ""
