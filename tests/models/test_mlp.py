import math

import pytest
import torch
from torch import nn

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
