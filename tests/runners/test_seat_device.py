"""Which device each of several processes has."""

import pytest
import torch

from rlpyt.runners.ranks import Seat
from rlpyt.utils.errors import RlpytError


def seat(rank: int, size: int = 2) -> Seat:
    return Seat(rank=rank, size=size, local_rank=rank, port=None, timeout=1.0)


@pytest.fixture
def four_gpus(monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=True: gpu)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 4)


@pytest.mark.usefixtures("four_gpus")
def test_one_name_for_all_or_one_for_each():
    assert [str(seat(rank).device("cuda")) for rank in (0, 1)] == ["cuda:0", "cuda:1"]
    assert [str(seat(rank).device("cuda:2, cuda:3")) for rank in (0, 1)] == ["cuda:2", "cuda:3"]


@pytest.mark.usefixtures("four_gpus")
def test_too_few_names_and_names_of_what_is_not_here():
    with pytest.raises(RlpytError, match=r"2 devices, cuda:2,cuda:3, for 3 ranks or more"):
        seat(2, 3).device("cuda:2,cuda:3")
    with pytest.raises(RlpytError, match="'cuda:4' is not here: this machine has 4"):
        seat(1).device("cuda:3,cuda:4")
