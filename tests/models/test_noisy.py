import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from rlpyt.models.mlp import Mlp
from rlpyt.models.noisy import NoisyLinear, NoisyMlp, has_noise, resample_noise, without_noise


def rng(seed=0):
    return np.random.default_rng(seed)


def noises(module):
    return [b for name, b in module.named_buffers() if name.endswith(("noise_in", "noise_out"))]


@pytest.mark.parametrize("n", [1, 7, 40])  # few rows and many are computed in two ways
def test_output_is_the_papers_equation(n):
    layer = NoisyLinear(5, 3)
    resample_noise(layer, rng())
    epsilon = rng().standard_normal(8, dtype=np.float32).astype(np.float64)
    f = np.sign(epsilon) * np.sqrt(np.abs(epsilon))
    f_in, f_out = f[:5], f[5:]
    mu_w, mu_b, sigma_w, sigma_b = (
        p.detach().double().numpy()
        for p in (layer.weight, layer.bias, layer.weight_sigma, layer.bias_sigma)
    )
    x = torch.randn(n, 5)
    expected = np.empty((n, 3))
    for b in range(n):
        for j in range(3):
            total = mu_b[j] + sigma_b[j] * f_out[j]
            for i in range(5):
                total += (mu_w[j, i] + sigma_w[j, i] * f_out[j] * f_in[i]) * x[b, i].item()
            expected[b, j] = total
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_parameters_start_as_in_the_paper():
    layer = NoisyLinear(400, 300, sigma_0=0.3)
    bound = 1 / 20
    for mean in (layer.weight, layer.bias):
        assert mean.abs().max() <= bound
        assert mean.abs().max() > 0.95 * bound
        assert abs(mean.std().item() - bound / math.sqrt(3)) < 0.1 * bound
    for sigma in (layer.weight_sigma, layer.bias_sigma):
        torch.testing.assert_close(sigma, torch.full_like(sigma, 0.3 * bound))
    assert NoisyLinear(4, 2).bias_sigma.tolist() == [0.25, 0.25]


def test_orthogonal_means():
    layer = NoisyLinear(6, 4, gain=2.0)
    torch.testing.assert_close(layer.weight @ layer.weight.T, 4.0 * torch.eye(4))
    assert not layer.bias.any()
    mlp = NoisyMlp(6, (5,), 4, init="orthogonal", output_gain=0.1)
    gram = mlp.hidden[0].weight @ mlp.hidden[0].weight.T
    torch.testing.assert_close(gram, 2.0 * torch.eye(5))
    gram = mlp.output.weight @ mlp.output.weight.T
    torch.testing.assert_close(gram, 0.01 * torch.eye(4))


def test_without_noise_it_is_linear_by_its_means():
    x = torch.randn(2, 3, 6)
    noisy = NoisyMlp(6, (5, 4), 2, "tanh")
    plain = Mlp(6, (5, 4), 2, "tanh")
    means = {name: p for name, p in noisy.state_dict().items() if name in plain.state_dict()}
    plain.load_state_dict(means)
    torch.testing.assert_close(noisy(x), plain(x))  # at first
    resample_noise(noisy, rng())
    assert not torch.allclose(noisy(x), plain(x), atol=1e-3)
    loud = noisy(x)
    with without_noise(noisy):
        torch.testing.assert_close(noisy(x), plain(x))
    assert torch.equal(noisy(x), loud)


def test_same_generator_same_noise_and_the_next_draw_is_another():
    one, other = NoisyMlp(6, (5,), 4), NoisyMlp(6, (5,), 4)
    generators = rng(3), rng(3)
    before = [noise.clone() for noise in noises(one)]
    for _ in range(2):
        resample_noise(one, generators[0])
        resample_noise(other, generators[1])
        for a, b, last in zip(noises(one), noises(other), before, strict=True):
            assert torch.equal(a, b)
            assert not (a == last).any()
        before = [noise.clone() for noise in noises(one)]
    assert generators[0].bit_generator.state == generators[1].bit_generator.state
    resample_noise(one, rng(4))
    assert not torch.equal(noises(one)[0], noises(other)[0])


def test_noise_is_independent_between_layers_and_has_the_right_moments():
    mlp = NoisyMlp(64, (64, 64), 64)
    draws = []
    generator = rng()
    for _ in range(400):
        resample_noise(mlp, generator)
        draws.append(torch.cat(noises(mlp)))
    noise = torch.stack(draws).double()  # [draws, entries of all layers]
    assert noise.mean().abs() < 0.01
    assert abs(noise.square().mean().item() - math.sqrt(2 / math.pi)) < 0.01  # E f(ε)² = E |ε|
    correlation = torch.corrcoef(noise.T).fill_diagonal_(0.0)
    assert correlation.abs().max() < 0.3  # of 73536 pairs, standard error 0.05


def test_global_generators_are_left_alone():
    mlp = NoisyMlp(6, (5,), 4)
    before = torch.get_rng_state()
    resample_noise(mlp, rng())
    mlp(torch.randn(2, 6, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("n", [1, 7, 40])  # few rows and many are computed in two ways
def test_gradient_reaches_means_and_sigmas(n):
    layer = NoisyLinear(5, 3)
    x = torch.randn(n, 5)
    layer(x).sum().backward()
    assert not layer.weight_sigma.grad.any()  # no noise yet
    layer.zero_grad()
    resample_noise(layer, rng())
    layer(x).sum().backward()
    outer = torch.outer(layer.noise_out, layer.noise_in)
    torch.testing.assert_close(layer.weight_sigma.grad, layer.weight.grad * outer)
    torch.testing.assert_close(layer.bias_sigma.grad, layer.bias.grad * layer.noise_out)
    assert layer.weight.grad.all()
    assert layer.weight_sigma.grad.all()


@pytest.mark.parametrize("n", [1, 7, 40])  # few rows and many are computed in two ways
def test_noise_between_forward_and_backward_is_refused(n):
    layer = NoisyLinear(5, 3)
    resample_noise(layer, rng())
    loss = layer(torch.randn(n, 5)).sum()
    resample_noise(layer, rng(1))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_noise_is_part_of_the_state_and_is_written_in_place():
    mlp = NoisyMlp(6, (5,), 4)
    resample_noise(mlp, rng())
    x = torch.randn(3, 6)
    expected = mlp(x)
    twin = NoisyMlp(6, (5,), 4)
    twin.load_state_dict(mlp.state_dict())
    assert torch.equal(twin(x), expected)
    assert torch.equal(copy.deepcopy(mlp)(x), expected)
    published = mlp.state_dict()  # shares the buffers' memory
    resample_noise(mlp, rng(1))
    assert torch.equal(published["output.noise_in"], mlp.output.noise_in)


def test_modules_without_noise():
    plain = nn.Sequential(nn.Linear(3, 2))
    generator = rng()
    resample_noise(plain, generator)
    with without_noise(plain):
        pass
    assert generator.bit_generator.state == rng().bit_generator.state
    assert not has_noise(plain)
    assert has_noise(nn.Sequential(plain, NoisyMlp(2, (), 1)))


def test_sizes():
    assert NoisyMlp(3, (5,), None).output_size == 5
    assert NoisyMlp(3, (5,), None)(torch.zeros(2, 3)).min() >= 0  # ends with the nonlinearity
    assert NoisyMlp(3, (), 4)(torch.zeros(2, 3)).shape == (2, 4)
