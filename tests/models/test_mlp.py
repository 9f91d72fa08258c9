import math

import pytest
import torch
from torch import nn

from rlpyt.models import mlp as module
from rlpyt.models.mlp import Mlp, nonlinearity_function
from rlpyt.utils.errors import RlpytError


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("tanh", nn.Tanh()),
        ("relu", nn.ReLU()),
        ("elu", nn.ELU()),
        ("silu", nn.SiLU()),
        ("gelu", nn.GELU()),
    ],
)
def test_mlp_equals_the_same_layers_in_sequence(name, module):
    mlp = Mlp(3, (8, 5), 2, name)
    reference = nn.Sequential(mlp.hidden[0], module, mlp.hidden[1], module, mlp.output)
    x = torch.randn(4, 6, 3)
    torch.testing.assert_close(mlp(x), reference(x), rtol=0, atol=0)


def test_without_output_size_the_last_hidden_layer_is_the_output():
    mlp = Mlp(3, (8, 5), nonlinearity="relu")
    out = mlp(torch.randn(7, 3))
    assert mlp.output_size == 5
    assert out.shape == (7, 5)
    assert (out >= 0).all()


def test_without_hidden_layers_it_is_linear():
    mlp = Mlp(3, (), 2)
    x = torch.randn(7, 3)
    torch.testing.assert_close(mlp(x), x @ mlp.output.weight.T)
    assert mlp.output_size == 2


def test_orthogonal_gains_and_zero_biases():
    mlp = Mlp(16, (16, 16), 4, output_gain=0.01)
    for layer in mlp.hidden:
        gram = layer.weight @ layer.weight.T
        torch.testing.assert_close(gram, 2 * torch.eye(16), rtol=0, atol=1e-5)
    gram = mlp.output.weight @ mlp.output.weight.T
    torch.testing.assert_close(gram, 1e-4 * torch.eye(4), rtol=0, atol=1e-8)
    assert all((p == 0).all() for name, p in mlp.named_parameters() if name.endswith("bias"))


def test_default_init_keeps_torch_s_uniform_bound():
    mlp = Mlp(16, (64,), 4, init="default")
    assert mlp.hidden[0].weight.abs().max() <= 1 / math.sqrt(16)
    assert (mlp.hidden[0].bias != 0).any()


def test_unknown_nonlinearity_names_the_nearest():
    with pytest.raises(RlpytError, match=r"nonlinearity='relus'.*did you mean 'relu'"):
        nonlinearity_function("relus")


needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN"
)


@needs_onednn
@pytest.mark.parametrize("sizes", [(128, 128), (160, 96), (96, 160), (128,)])
@pytest.mark.parametrize("output_size", [1, 6])
def test_large_layers_with_relu_are_one_function_of_the_same_values(sizes, output_size):
    mlp = Mlp(9, sizes, output_size, "relu", init="default")
    layers = [*mlp.hidden, mlp.output]
    x = torch.randn(128, 9, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    expected = twin
    for layer in layers:
        hidden = expected if layer is mlp.hidden[0] else expected.relu()
        expected = nn.functional.linear(hidden, layer.weight, layer.bias)
    output = mlp(x)
    assert output.shape == (128, output_size)
    torch.testing.assert_close(output, expected)
    parameters = list(mlp.parameters())
    found = torch.autograd.grad(output.square().sum(), [x, *parameters])
    wanted = torch.autograd.grad(expected.square().sum(), [twin, *parameters])
    for gradient, reference in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-4)


@needs_onednn
def test_one_function_is_for_large_batches_of_plain_relu(monkeypatch):
    seen = []
    fused = module.relu_mlps
    monkeypatch.setattr(module, "relu_mlps", lambda *given: seen.append(1) or fused(*given))
    x = torch.randn(128, 9)
    Mlp(9, (128, 128), 3, "relu")(x)
    assert seen == [1]
    Mlp(9, (128, 128), 3, "tanh")(x)
    Mlp(9, (128, 128), 3, "relu", layer_norm=True)(x)
    Mlp(9, (128, 128), nonlinearity="relu")(x)
    Mlp(9, (128, 128), 3, "relu")(x[:1])
    Mlp(9, (128, 128), 3, "relu")(x.unsqueeze(0))
    Mlp(9, (128, 128), 3, "relu").double()(x.double())
    Mlp(9, (1024, 512), 3, "relu")(x)
    assert seen == [1]
