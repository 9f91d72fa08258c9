"""``rlpyt devices``, and devices that are not here as a mistake on the command line."""

import json

import pytest
import torch

from rlpyt.cli import devices as command
from rlpyt.utils.cpus import Cpus
from rlpyt.utils.device import Accelerator, Devices

no_accelerator = pytest.mark.skipif(torch.accelerator.is_available(), reason="here is one")


def found(**changes) -> Devices:
    """A machine with two accelerators."""
    settings = {
        "auto": "cuda",
        "cpus": Cpus(ids=(0, 1), count=1, limits=("cgroup quota: 1 CPU",), restricted=False),
        "accelerators": (
            Accelerator(name="cuda:0", model="[H200]", memory_bytes=3 * 2**30, free_bytes=2**30),
            Accelerator(name="cuda:1", model="", memory_bytes=None, free_bytes=None),
        ),
        "torch_version": "2.13.0",
        "torch_build": "CUDA 13.0",
        "extensions": {"torch_npu": "2.13.0"},
        "collectives": {"gloo": True, "nccl": True, "hccl": False},
        "problem": "",
        "remedies": {},
    }
    return Devices(**settings | changes)


def test_what_is_here(rlpyt, monkeypatch):
    monkeypatch.setattr(command, "describe_devices", found)
    result = rlpyt("devices")
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert ["cpu", "1", "usable", "CPU", "(cgroup", "quota:", "1", "CPU)"] in lines
    assert ["cuda:0", "[H200]", "3.0", "GiB,", "1.0", "free"] in lines
    assert ["cuda:1"] in lines
    assert "torch: 2.13.0, built for: CUDA 13.0" in result.out
    assert "torch_npu: 2.13.0" in result.out
    assert "between processes: gloo, nccl; not here: hccl" in result.out
    assert "--device auto is cuda" in result.out
    assert "no accelerator" not in result.out


# Of two builds of torch: one for CPUs alone, and one that finds no GPU.
TO_GET_CUDA = "install a CUDA" if torch.version.cuda is None else "torch is built for it but finds"


def test_why_auto_fails(rlpyt, monkeypatch):
    monkeypatch.setattr(
        command, "describe_devices", lambda: found(auto="", problem="ERROR device: a\nb")
    )
    assert "--device auto fails: ERROR device: a b\n" in rlpyt("devices").out


@no_accelerator
def test_a_machine_without_an_accelerator_says_how_to_get_one(rlpyt):
    result = rlpyt("devices")
    assert result.code == 0
    assert "--device auto is cpu\nno accelerator was found. For one:\n" in result.out
    for name in (f"cuda: {TO_GET_CUDA}", "npu: pip install torch_npu", "mps: ", "xpu: "):
        assert f"\n  {name}" in result.out


def test_as_json(rlpyt):
    devices = json.loads(rlpyt("devices", "--json").out)
    assert devices["torch_version"] == torch.__version__
    assert devices["cpus"]["count"] >= 1
    assert isinstance(devices["collectives"]["gloo"], bool)
    if not torch.accelerator.is_available():
        assert devices["accelerators"] == []
        assert devices["auto"] == "cpu"


@no_accelerator
@pytest.mark.parametrize("device", ["cuda:7", "gpu", "mps"])
@pytest.mark.parametrize(
    "words",
    [
        ["train", "ppo", "cli_envs:Sound", "--out", "run"],
        ["train", "ppo", "cli_envs:Sound", "--out", "run", "--sampler", "cpu"],
        ["doctor", "ppo", "cli_envs:Sound", "--seconds", "1"],
    ],
)
def test_a_device_that_is_not_here_is_one_line(rlpyt, tmp_path, words, device):
    result = rlpyt(*words, "--device", device)
    assert result.code == 2
    assert repr(device) in result.error
    assert list(tmp_path.iterdir()) == []


@no_accelerator
def test_evaluation_on_a_device_that_is_not_here(rlpyt, small):
    result = rlpyt("eval", small("run"), "--device", "cuda")
    assert result.code == 2
    assert TO_GET_CUDA in result.error


@pytest.mark.parametrize("name", ["train", "eval", "doctor"])
def test_help_shows_what_can_be_written(rlpyt, name):
    text = " ".join(rlpyt(name, "--help").out.split())
    assert "auto, cpu, cuda, cuda:1, npu, npu:0, mps, ... (default auto; see rlpyt devices)" in text
