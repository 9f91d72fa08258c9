"""Linear layers of large batches: another library, the same numbers."""

import copy

import pytest
import torch
from torch.nn import functional

from rlpyt.models import linear as module
from rlpyt.models.linear import large_linear, linear_function
from rlpyt.models.mlp import Mlp


def arrays(n: int = 64, n_in: int = 512, n_out: int = 256, dtype: torch.dtype = torch.float32):
    """Input, weight and bias; 64 * 512 * 256 is large."""
    draw = torch.Generator().manual_seed(0)
    shapes = ((n, n_in), (n_out, n_in), (n_out,))
    return [torch.randn(*shape, generator=draw, dtype=dtype) for shape in shapes]


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of what the other library multiplied."""
    seen, product = [], module.onednn_product

    def watched(x, weight, bias=None):
        seen.append(tuple(x.shape))
        return product(x, weight, bias)

    monkeypatch.setattr(module, "onednn_product", watched)
    return seen


def test_value_and_gradients_are_those_of_the_exact_product(products: list[tuple[int, ...]]):
    inputs = [array.requires_grad_() for array in arrays()]
    exact = [array.detach().double().requires_grad_() for array in inputs]
    seed = torch.randn(64, 256, generator=torch.Generator().manual_seed(1))
    large_linear(*inputs).backward(seed)
    functional.linear(*exact).backward(seed.double())
    torch.testing.assert_close(large_linear(*inputs).double(), functional.linear(*exact), **CLOSE)
    for ours, wanted in zip(inputs, exact, strict=True):
        torch.testing.assert_close(ours.grad.double(), wanted.grad, **CLOSE)
    assert products == [(64, 512), (64, 256), (256, 64), (64, 512)]


CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_only_wanted_gradients_are_computed(wanted: int):
    inputs = arrays()
    inputs[wanted].requires_grad_()
    large_linear(*inputs).sum().backward()
    exact = [array.detach().clone() for array in inputs]
    exact[wanted].requires_grad_()
    functional.linear(*exact).sum().backward()
    torch.testing.assert_close(inputs[wanted].grad, exact[wanted].grad, rtol=1e-4, atol=1e-3)
    assert [array.grad is not None for array in inputs] == [i == wanted for i in range(3)]


def test_leading_dimensions_without_bias_and_without_gradient(products: list[tuple[int, ...]]):
    x, weight, _bias = arrays()
    with torch.inference_mode():
        found = large_linear(x.view(4, 16, 512), weight, None)
    assert found.shape == (4, 16, 256)
    torch.testing.assert_close(found.view(64, 256), x @ weight.T, **CLOSE)
    assert products == [(64, 512)]


@pytest.mark.parametrize("case", ["small", "float64", "autocast"])
def test_anything_else_is_torchs_own_to_the_bit(case: str, products: list[tuple[int, ...]]):
    n, dtype = (2 if case == "small" else 64), torch.float64 if case == "float64" else torch.float32
    inputs = arrays(n=n, dtype=dtype)
    with torch.autocast("cpu", enabled=case == "autocast"):
        assert torch.equal(large_linear(*inputs), functional.linear(*inputs))
    assert products == []


def test_small_layers_call_torch_directly():
    assert linear_function(torch.zeros(64, 64)) is functional.linear
    assert linear_function(torch.zeros(256, 64)) is large_linear


def test_an_mlp_uses_it_and_a_copy_gives_the_same_floats(products: list[tuple[int, ...]]):
    torch.manual_seed(0)
    mlp = Mlp(512, (256,), 4)
    x = arrays()[0]
    with torch.no_grad():
        found = mlp(x)
        assert torch.equal(copy.deepcopy(mlp)(x), found)
    assert products == [(64, 512)] * 2
    wanted = mlp.output(torch.tanh(mlp.hidden[0](x)))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
