"""N networks as one: the numbers, gradients and starts of n networks of their own."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from rlpyt.models import batched as module
from rlpyt.models import relu_mlp
from rlpyt.models.batch_renorm import BatchRenorm
from rlpyt.models.batched import BatchedLinear, BatchedMlp, batched_linear
from rlpyt.utils.errors import RlpytError

N_NETS, N, SIZES = 3, 8, (5, 7, 6)


def separate(mlp, *, layer_norm=False, outputs=2):
    """The networks of ``mlp``, each a Sequential of its own with the same parameters."""
    nets = []
    for k in range(N_NETS):
        layers = []
        for index, hidden in enumerate(mlp.hidden):
            layers.append(copied(hidden, k))
            if layer_norm:
                layers.append(nn.LayerNorm(SIZES[index + 1]))
                layers[-1].weight.data = mlp.norms[index].weight[k, 0].detach().clone()
                layers[-1].bias.data = mlp.norms[index].bias[k, 0].detach().clone()
            layers.append(nn.ReLU())
        nets.append(nn.Sequential(*layers, copied(mlp.output, k)))
    return nets


def copied(layer, k):
    linear = nn.Linear(*layer.weight.shape[1:])
    linear.weight.data = layer.weight[k].detach().t().clone()
    linear.bias.data = layer.bias[k, 0].detach().clone()
    return linear


def shake(mlp):
    """Off from ones and zeros, so that each network differs in every parameter."""
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))


@pytest.fixture(params=["baddbmm", "onednn", "fused"])
def path(request, monkeypatch):
    """Every way to multiply, whatever the size; "fused" is all layers as one function."""
    if request.param != "baddbmm" and not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    for where, name in ((module, "onednn"), (relu_mlp, "fused")):
        monkeypatch.setattr(where, "_LARGE_PRODUCT", 0 if request.param == name else math.inf)
    return request.param


@pytest.mark.parametrize("outputs", [1, 2, 9])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("shared", [True, False])
def test_values_and_gradients_are_those_of_separate_networks(path, shared, layer_norm, outputs):
    mlp = BatchedMlp(N_NETS, SIZES[0], SIZES[1:], outputs, layer_norm=layer_norm)
    shake(mlp)
    nets = separate(mlp, layer_norm=layer_norm)
    shape = (N, SIZES[0]) if shared else (N_NETS, N, SIZES[0])
    x = torch.randn(shape, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    found = mlp(x)
    expected = torch.stack([net(twin if shared else twin[k]) for k, net in enumerate(nets)])
    assert found.shape == (N_NETS, N, outputs)
    close = {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(found, expected, **close)
    weight = torch.randn(N_NETS, N, outputs)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, twin.grad, rtol=1e-5, atol=1e-5)
    for name, parameter in mlp.named_parameters():
        kind, *rest = name.split(".")
        place = {"hidden": 0, "norms": 1, "output": -1}[kind]
        index = -1 if kind == "output" else place + int(rest[0]) * (3 if layer_norm else 2)
        wanted = [getattr(net[index], rest[-1]).grad for net in nets]
        if kind != "norms" and rest[-1] == "weight":
            wanted = [gradient.t() for gradient in wanted]
        wanted = torch.stack(wanted).reshape(parameter.shape)
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-5, atol=1e-5)


def test_only_wanted_gradients_and_any_layout_of_the_gradient(path):
    layer = BatchedLinear(N_NETS, 5, 4)
    x = torch.randn(N, 5, requires_grad=True)
    layer.requires_grad_(False)
    layer(x).sum().backward()  # an expanded gradient
    expected = layer.weight.sum((0, 2)).expand(N, 5)
    torch.testing.assert_close(x.grad, expected)
    assert layer.weight.grad is None
    assert layer.bias.grad is None
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), layer(x.detach().clone()))


def test_frozen_networks_pass_the_gradient_on(path):
    """As critics do to a policy: no gradient of their own, whatever layers there are."""
    mlp = BatchedMlp(N_NETS, SIZES[0], SIZES[1:], 1).requires_grad_(False)
    shake(mlp)
    x = torch.randn(N_NETS, N, SIZES[0], requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    mlp(x).amin(0).sum().backward()
    nets = separate(mlp)
    torch.stack([net(twin[k]) for k, net in enumerate(nets)]).amin(0).sum().backward()
    torch.testing.assert_close(x.grad, twin.grad)
    assert all(parameter.grad is None for parameter in mlp.parameters())
    mlp.hidden[1].requires_grad_(True)
    mlp(x.detach()).sum().backward()
    assert mlp.hidden[1].weight.grad.any()
    assert mlp.hidden[0].weight.grad is None
    with torch.inference_mode():
        torch.testing.assert_close(mlp(x)[0], nets[0](x[0]))


def test_large_networks_with_relu_are_one_function(monkeypatch):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    seen = []
    fused = module.relu_mlps
    monkeypatch.setattr(module, "relu_mlps", lambda *given: seen.append(1) or fused(*given))
    x = torch.randn(256, 8)
    for settings, n in (
        ({}, 1),
        ({"nonlinearity": "tanh"}, 0),
        ({"layer_norm": True}, 0),
        ({"batch_renorm": True}, 0),
    ):
        BatchedMlp(2, 8, (256, 256), 1, **settings)(x)
        assert len(seen) == n
        seen.clear()
    BatchedMlp(2, 8, (8,), 1)(x)
    BatchedMlp(2, 8, (256, 256), 1).double()(x.double())
    assert seen == []
    large = BatchedMlp(2, 8, (256, 256), 1)
    assert torch.vmap(large)(x.expand(3, 256, 8)).shape == (3, 2, 256, 1)
    assert seen == []


def test_large_products_on_a_cpu_are_onednn_s(monkeypatch):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    seen, product = [], module.onednn_product

    def watched(x, weight, bias=None):
        seen.append(tuple(x.shape))
        return product(x, weight, bias)

    monkeypatch.setattr(module, "onednn_product", watched)
    small, large = BatchedLinear(2, 8, 8), BatchedLinear(2, 256, 256)
    small(torch.randn(256, 8)).sum().backward()
    assert seen == []
    large(torch.randn(256, 256)).sum().backward()
    assert len(seen) == 4  # values and gradients of two weights
    x = torch.randn(256, 256)
    assert torch.vmap(large)(x.expand(3, 256, 256)).shape == (3, 2, 256, 256)
    large.double()(x.double())
    assert len(seen) == 4


def test_float64_gradients_are_exact():
    layer = BatchedMlp(2, 3, (4,), 1, "tanh", layer_norm=True).double()
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    weight, bias = (p.detach().requires_grad_() for p in layer.hidden[0].parameters())
    assert torch.autograd.gradcheck(batched_linear, (x, weight, bias))


def test_every_network_starts_as_torch_s_linear_does_with_draws_of_its_own():
    layer = BatchedLinear(4, 100, 50)
    for parameter in layer.parameters():
        bound = 1 / math.sqrt(100)
        for k in range(4):
            values = parameter[k].detach().numpy().ravel()
            assert np.abs(values).max() <= bound
            assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
        assert len(torch.unique(parameter[:, 0, 0])) == 4
        assert abs(np.corrcoef(parameter.detach().flatten(1).numpy())[0, 1]) < 0.5
    torch.manual_seed(7)
    found = BatchedLinear(2, 3, 4)
    torch.manual_seed(7)
    for k in range(2):
        own = nn.Linear(3, 4)
        assert torch.equal(found.weight[k], own.weight.t())
        assert torch.equal(found.bias[k, 0], own.bias)


def test_one_network_knows_nothing_of_the_others():
    mlp = BatchedMlp(N_NETS, 5, (7,), 2, batch_renorm=True)
    x = torch.randn(N_NETS, N, 5, requires_grad=True)
    mlp(x, True)[1].square().sum().backward()
    for gradient in [x.grad, *(p.grad for p in mlp.parameters())]:
        assert not gradient[[0, 2]].any()
        assert gradient[1].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, (7,), 1), "use 1 or more"),
        ((2, 5, (7, 0), 1), "use 1 or more"),
        ((2, 5, (7,), 1, "rely"), "did you mean 'relu'"),
    ],
)
def test_what_is_wrong_is_named(arguments, message):
    with pytest.raises(RlpytError, match=message):
        BatchedMlp(*arguments)
    with pytest.raises(RlpytError, match="choose one of them"):
        BatchedMlp(2, 5, (7,), 1, layer_norm=True, batch_renorm=True)


# --- batch renormalisation ---------------------------------------------------------------------


def test_in_warm_up_it_is_batch_normalisation():
    ours = BatchRenorm(2, 3, epsilon=0.5)
    shake(ours)
    x = 4 + 3 * torch.randn(2, 50, 3)
    found = ours(x, True)
    for k in range(2):
        twin = nn.BatchNorm1d(3, eps=0.5, momentum=0.01)
        twin.weight.data, twin.bias.data = ours.weight[k, 0].detach(), ours.bias[k, 0].detach()
        torch.testing.assert_close(found[k], twin(x[k]), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours.mean[k, 0], twin.running_mean)
        own = 0.99 + 0.01 * x[k].var(0, correction=0)
        torch.testing.assert_close(ours.var[k, 0], own)
    torch.testing.assert_close(BatchRenorm(2, 3)(x[0], True)[1], BatchRenorm(1, 3)(x[0], True)[0])


@pytest.mark.parametrize("scale", [1.0, 20.0])  # within the limits of r and d, and beyond
def test_after_warm_up_it_is_the_paper_s_with_constant_r_and_d(scale):
    reason = 'the oracle is not here: pip install "rlpyt[oracles]"'
    layers = pytest.importorskip("sb3_contrib.common.torch_layers", reason=reason)
    ours = BatchRenorm(1, 3, warmup_steps=0).double()
    reference = layers.BatchRenorm1d(3, warmup_steps=-1, eps=1e-12).double()
    ours.epsilon = 1e-12  # there it stands elsewhere
    start = {"mean": torch.tensor([0.3, -0.2, 0.1]), "var": torch.tensor([1.5, 0.7, 1.0])}
    for name, value in start.items():
        getattr(ours, name).copy_(value.expand(1, 1, 3))
        getattr(reference, f"ra_{name}").copy_(value)
    x = scale * torch.randn(4000, 3, dtype=torch.float64) + (scale - 1.0)
    x.requires_grad_()
    twin = x.detach().clone().requires_grad_()
    found, expected = ours(x, True)[0], reference(twin)
    close = {"rtol": 1e-3, "atol": 2e-3}  # its variance divides by N - 1
    torch.testing.assert_close(found, expected, **close)
    weight = torch.randn_like(found)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, twin.grad, **close)
    torch.testing.assert_close(ours.mean[0, 0], reference.ra_mean)
    torch.testing.assert_close(ours.var[0, 0], reference.ra_var, rtol=1e-3, atol=0)
    if scale == 1.0:  # r and d unclipped: values are by the running statistics
        before = (x - start["mean"]) / start["var"].sqrt()
        torch.testing.assert_close(found, before.detach(), rtol=1e-6, atol=1e-6)


def test_limits_begin_after_the_warm_up_and_outside_training_nothing_moves():
    layer = BatchRenorm(1, 2, warmup_steps=2)
    x = 7 + 5 * torch.randn(100, 2)
    whitened = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-3).sqrt()
    for step in range(4):
        found = layer(x, True)[0]
        assert torch.allclose(found, whitened, atol=1e-4) == (step < 2)
    assert layer.steps == 4
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    running = (x - layer.mean[0]) / (layer.var[0] + 1e-3).sqrt()
    torch.testing.assert_close(layer(x, False)[0], running)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, state[name])


def test_a_renormalised_network_is_normalised_on_its_input_and_behind_each_nonlinearity():
    mlp = BatchedMlp(2, 5, (7, 6), 1, batch_renorm=True)
    seen = []
    for renorm in mlp.renorms:
        renorm.register_forward_hook(lambda _module, inputs, output: seen.append((inputs, output)))
    x = 3 + torch.randn(64, 5)
    mlp(x, train=True)
    assert [output.shape for _inputs, output in seen] == [(2, 64, 5), (2, 64, 7), (2, 64, 6)]
    assert torch.equal(seen[0][0][0], x)
    for inputs, output in seen[1:]:
        assert (inputs[0] >= 0).all()  # behind the ReLU
        torch.testing.assert_close(
            output.mean(1), torch.zeros(output[:, 0].shape), rtol=0, atol=1e-5
        )
    assert [int(renorm.steps) for renorm in mlp.renorms] == [1, 1, 1]
    mlp(x)
    assert [int(renorm.steps) for renorm in mlp.renorms] == [1, 1, 1]
