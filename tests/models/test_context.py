"""Beliefs about tasks: the product of Gaussians, its distance from the prior, and the encoder."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.distributions import Normal, kl_divergence

from rlpyt.models.context import Context, ContextEncoder
from rlpyt.ops.posterior import (
    Gaussians,
    belief_from,
    evidence_of,
    sample_gaussians,
    standard_normal_kl,
    total_evidence,
)
from rlpyt.utils.errors import RlpytError

BOX = spaces.Box(-1.0, 1.0, (3,), np.float32)
DISCRETE = spaces.Discrete(4)


def factors(*shape: int, seed: int = 0) -> Gaussians:
    rng = torch.Generator().manual_seed(seed)
    mean = torch.randn(*shape, generator=rng, dtype=torch.float64)
    return Gaussians(mean=mean, var=torch.rand(*shape, generator=rng, dtype=torch.float64) + 0.1)


def gaussian_product(given: Gaussians, valid: torch.Tensor | None = None) -> Gaussians:
    return belief_from(total_evidence(evidence_of(given), valid))


def context(*shape: int, discrete: bool = False, next_observation: bool = False) -> Context:
    rng = torch.Generator().manual_seed(1)
    return Context(
        observation=torch.randn(*shape, 3, generator=rng),
        action=torch.randint(4, shape, generator=rng)
        if discrete
        else torch.randn(*shape, 3, generator=rng),
        reward=torch.randn(*shape, generator=rng),
        next_observation=torch.randn(*shape, 3, generator=rng) if next_observation else None,
    )


def test_the_product_has_the_density_of_the_factors_multiplied():
    found = factors(4, 2)
    product = gaussian_product(found)
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)
    for d in range(2):
        log = Normal(found.mean[:, d, None], found.var[:, d, None].sqrt()).log_prob(x).sum(0)
        own = Normal(product.mean[d], product.var[d].sqrt()).log_prob(x)
        assert torch.allclose(log - log[0], own - own[0], atol=1e-12)


def test_the_product_knows_no_order_and_no_invalid_factor():
    found = factors(3, 6, 5)
    product = gaussian_product(found)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    shuffled = gaussian_product(found[:, order])
    assert torch.allclose(product.mean, shuffled.mean, atol=1e-12)
    valid = torch.tensor([True, True, False, True, False, False]).expand(3, 6)
    fewer = gaussian_product(found, valid)
    kept = gaussian_product(found[:, [0, 1, 3]])
    assert torch.equal(fewer.mean, kept.mean) or torch.allclose(fewer.mean, kept.mean, atol=1e-12)
    assert torch.allclose(fewer.var, kept.var, atol=1e-12)


@pytest.mark.parametrize("empty", ["none there", "none valid"])
def test_without_evidence_there_is_the_prior(empty):
    found = factors(2, 0 if empty == "none there" else 3, 5)
    valid = None if empty == "none there" else torch.zeros(2, 3, dtype=torch.bool)
    product = gaussian_product(found, valid)
    assert torch.equal(product.mean, torch.zeros(2, 5, dtype=torch.float64))
    assert torch.equal(product.var, torch.ones(2, 5, dtype=torch.float64))


def test_tiny_variances_stay_finite():
    found = Gaussians(mean=torch.tensor([[2.0], [4.0]]), var=torch.zeros(2, 1))
    product = gaussian_product(found)
    assert product.mean.item() == pytest.approx(3.0)
    assert product.var.item() == pytest.approx(0.5e-7)


def test_divergence_from_the_prior_is_torchs():
    found = factors(7, 5)
    other = kl_divergence(Normal(found.mean, found.var.sqrt()), Normal(0.0, 1.0)).sum(-1)
    assert torch.allclose(standard_normal_kl(found), other, rtol=1e-12)
    prior = Gaussians(mean=torch.zeros(5), var=torch.ones(5))
    assert standard_normal_kl(prior).item() == 0.0


def test_samples_carry_gradients_to_mean_and_variance():
    mean, var = torch.zeros(3, requires_grad=True), torch.full((3,), 4.0, requires_grad=True)
    noise = torch.tensor([1.0, -1.0, 0.5])
    drawn = sample_gaussians(Gaussians(mean=mean, var=var), noise)
    assert torch.equal(drawn, 2.0 * noise)
    drawn.sum().backward()
    assert torch.equal(mean.grad, torch.ones(3))
    assert torch.allclose(var.grad, noise / 4.0)


@pytest.mark.parametrize("discrete", [False, True])
def test_the_encoder_multiplies_what_each_transition_says(discrete):
    torch.manual_seed(0)
    encoder = ContextEncoder.from_spaces(BOX, DISCRETE if discrete else BOX, hidden_sizes=(8,))
    given = context(2, 6, discrete=discrete)
    posterior = encoder(given)
    assert posterior.mean.shape == posterior.var.shape == (2, 5)
    alone = [encoder(given[:, n : n + 1]) for n in range(6)]
    each = Gaussians(
        mean=torch.stack([one.mean for one in alone], 1),
        var=torch.stack([one.var for one in alone], 1),
    )
    assert torch.allclose(posterior.mean, gaussian_product(each).mean, atol=1e-5)
    assert torch.allclose(posterior.var, gaussian_product(each).var, rtol=1e-5)
    assert (each.var > 0).all()
    none = encoder(given[:, :0])
    assert torch.equal(none.mean, torch.zeros(2, 5))
    assert torch.equal(none.var, torch.ones(2, 5))


def test_next_observations_count_where_they_are_asked_for():
    torch.manual_seed(0)
    encoder = ContextEncoder.from_spaces(BOX, BOX, hidden_sizes=(8,), next_observation=True)
    given = context(1, 4, next_observation=True)
    other = given._replace(next_observation=given.next_observation + 1)
    assert not torch.allclose(encoder(given).mean, encoder(other).mean)
    with pytest.raises(RlpytError, match="no next_observation"):
        encoder(context(1, 4))
    plain = ContextEncoder.from_spaces(BOX, BOX, hidden_sizes=(8,))
    assert torch.equal(plain(given).mean, plain(other).mean)
    with pytest.raises(RlpytError, match="latent_size=0"):
        ContextEncoder.from_spaces(BOX, BOX, latent_size=0)


def test_the_deterministic_encoder_takes_the_mean_of_what_each_transition_says():
    torch.manual_seed(0)
    encoder = ContextEncoder.from_spaces(BOX, BOX, hidden_sizes=(8,), deterministic=True)
    given = context(2, 6)
    alone = torch.stack([encoder(given[:, n : n + 1]).mean for n in range(6)], 1)
    belief = encoder(given)
    assert torch.allclose(belief.mean, alone.mean(1), atol=1e-6)
    assert torch.equal(belief.var, torch.zeros(2, 5))
    valid = torch.tensor([True, False, True, False, False, False]).expand(2, 6)
    assert torch.allclose(encoder(given, valid).mean, alone[:, [0, 2]].mean(1), atol=1e-6)
    assert torch.equal(encoder(given[:, :0]).mean, torch.zeros(2, 5))
