"""The pieces losses share, against numpy over the valid entries only."""

import math

import numpy as np
import pytest
import torch

from rlpyt.ops.losses import normalize, valid_mean


def random_case(seed=0, shape=(7, 5), share=0.6):
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.standard_normal(shape) * 3 + 2, requires_grad=True)
    return x, torch.tensor(rng.random(shape) < share)


def test_the_mean_is_over_valid_entries():
    x, valid = random_case()
    assert valid_mean(x).item() == pytest.approx(x.detach().numpy().mean(), rel=1e-12)
    expected = x.detach().numpy()[valid.numpy()].mean()
    assert valid_mean(x, valid).item() == pytest.approx(expected, rel=1e-12)


def test_invalid_entries_get_no_gradient():
    x, valid = random_case()
    (gradient,) = torch.autograd.grad(valid_mean(x, valid), x)
    expected = torch.where(valid, 1.0 / valid.sum().double(), 0.0)
    torch.testing.assert_close(gradient, expected.double(), rtol=1e-12, atol=0.0)


def test_the_mean_of_nothing_is_zero():
    x, _valid = random_case()
    nothing = torch.zeros_like(x, dtype=torch.bool)
    total = valid_mean(x, nothing)
    assert total.item() == 0.0
    (gradient,) = torch.autograd.grad(total, x)
    assert not gradient.any()


@pytest.mark.parametrize("masked", [False, True])
def test_normalized_entries_have_mean_zero_and_unbiased_deviation_one(masked):
    x, valid = random_case()
    found = normalize(x.detach(), valid if masked else None).numpy()
    chosen = x.detach().numpy()[valid.numpy()] if masked else x.detach().numpy().ravel()
    expected = (chosen - chosen.mean()) / (chosen.std(ddof=1) + 1e-8)
    found = found[valid.numpy()] if masked else found.ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_normalizing_with_everything_valid_is_normalizing_without_a_mask():
    x, valid = random_case()
    everything = torch.ones_like(valid)
    torch.testing.assert_close(
        normalize(x.detach(), everything), normalize(x.detach()), rtol=1e-12, atol=1e-12
    )


def test_what_invalid_entries_hold_does_not_matter():
    x, valid = random_case()
    x = x.detach()
    other = torch.where(valid, x, -1e3)
    torch.testing.assert_close(normalize(x, valid)[valid], normalize(other, valid)[valid])
    torch.testing.assert_close(valid_mean(x, valid), valid_mean(other, valid))


def test_equal_entries_normalize_to_zero():
    assert normalize(torch.full((6,), 3.0)).tolist() == [0.0] * 6


@pytest.mark.parametrize("valid", [None, torch.tensor([True])], ids=["plain", "masked"])
def test_a_single_entry_normalizes_to_something_finite(valid):
    """A minibatch of one sample has no deviation: it must not turn parameters into NaN."""
    assert math.isfinite(normalize(torch.tensor([2.0]), valid).item())


def test_nothing_valid_normalizes_to_something_finite():
    """A minibatch can hold nothing but the invalid steps of waiting environments."""
    nothing = torch.zeros(3, dtype=torch.bool)
    assert torch.isfinite(normalize(torch.tensor([1.0, 2.0, 4.0]), nothing)).all()
