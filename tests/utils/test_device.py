"""Devices by name: "auto" is what is here, the rest is torch's or an error with a remedy."""

import pytest
import torch

from rlpyt.utils.device import resolve_device
from rlpyt.utils.errors import RlpytError


@pytest.fixture
def accelerator(monkeypatch):
    """Pretend that this machine has this accelerator, or none."""

    def pretend(name):
        found = None if name is None else torch.device(name)
        monkeypatch.setattr(
            torch.accelerator, "current_accelerator", lambda check_available=False: found
        )

    return pretend


@pytest.mark.parametrize(("here", "found"), [(None, "cpu"), ("cuda", "cuda"), ("xpu:1", "xpu:1")])
def test_auto_is_the_accelerator_or_the_cpu(accelerator, here, found):
    accelerator(here)
    assert resolve_device("auto") == torch.device(found)


def test_names_that_are_here(accelerator):
    accelerator("cuda")
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps", "meta"])
def test_a_device_that_is_not_here(accelerator, device):
    accelerator(None)
    with pytest.raises(RlpytError, match=rf"device '{device}' is not here - here: cpu$"):
        resolve_device(device)


def test_another_accelerator_than_the_one_here(accelerator):
    accelerator("xpu")
    with pytest.raises(RlpytError, match=r"'cuda' is not here - here: cpu, xpu$"):
        resolve_device("cuda")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "CPU"])
def test_an_unknown_name(accelerator, device):
    accelerator(None)
    with pytest.raises(RlpytError) as caught:
        resolve_device(device)
    assert caught.value.code == "device"
    assert repr(device) in str(caught.value)
    assert caught.value.hint
