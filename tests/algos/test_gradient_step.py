"""One vector of parameters, in which convolutions keep the order that they compute in."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from rlpyt.algos.optimizer import GradientStep
from rlpyt.utils.errors import RlpytError


def make_model() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
    return model.double().to(memory_format=torch.channels_last)


def images() -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(5, 4, 8, 8, dtype=torch.float64, generator=draw)


def test_a_convolution_keeps_its_weights_values_and_layout():
    model = make_model()
    before = copy.deepcopy(model)
    step = GradientStep(model, lambda x: (model(x).square().mean(), ()))
    weight = model[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert weight.grad.stride() == weight.stride()
    for ours, wanted in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(ours, wanted)
        assert ours.untyped_storage().data_ptr() == step.vector.untyped_storage().data_ptr()


def test_updates_are_those_of_separate_parameters():
    model, clip = make_model(), 1e-3
    plain = copy.deepcopy(model)
    step = GradientStep(
        model, lambda x: (model(x).square().mean(), ()), optim_kwargs={}, clip_grad_norm=clip
    )
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-2)
    for _ in range(3):
        _report, norm = step.step(1e-2, images())
        optimizer.zero_grad()
        functional.mse_loss(plain(images()), torch.zeros(5, 2, dtype=torch.float64)).backward()
        wanted = nn.utils.clip_grad_norm_(plain.parameters(), clip)
        optimizer.step()
        torch.testing.assert_close(norm, wanted, rtol=1e-12, atol=0)
        assert norm > clip
        for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_clipping_does_not_spread_what_is_not_finite(bad: str):
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.good = nn.Parameter(torch.ones(3))
            self.broken = nn.Parameter(torch.ones(2))

    model = Two()

    def loss(factor: torch.Tensor):
        total = model.good.sum() + (factor * model.broken).sum()
        return total, total.detach()

    step = GradientStep(model, loss, OptimCls=torch.optim.SGD, optim_kwargs={}, clip_grad_norm=0.5)
    with pytest.raises(RlpytError, match=rf"broken.* is {bad}"):
        step.step(0.1, torch.tensor(float(bad)))
    assert model.good.tolist() == [1.0] * 3
