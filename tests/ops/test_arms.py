"""The family of policies against the papers' formulas, number by number."""

import math

import numpy as np
import pytest
import torch

from rlpyt.ops import (
    agent57_discounts,
    combined_value,
    intrinsic_weights,
    ngu_discounts,
    transformed_retrace_return,
)
from rlpyt.utils.errors import RlpytError

EPS = 1e-3


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def h(x):
    return math.copysign(math.sqrt(abs(x) + 1) - 1, x) + EPS * x


def inverse_h(z):
    root = (math.sqrt(1 + 4 * EPS * (abs(z) + 1 + EPS)) - 1) / (2 * EPS)
    return math.copysign(root**2 - 1, z)


@pytest.mark.parametrize("n", [3, 8, 32])
def test_intrinsic_weights_are_ngus(n):
    for i, weight in enumerate(intrinsic_weights(n, 0.3)):
        middle = 0.3 * sigmoid(10 * (2 * i - (n - 2)) / (n - 2))
        expected = 0.0 if i == 0 else 0.3 if i == n - 1 else middle
        assert weight == pytest.approx(expected, rel=1e-12), i


def test_small_families():
    assert intrinsic_weights(1, 0.3).tolist() == [0.0]
    assert intrinsic_weights(2, 0.3).tolist() == [0.0, 0.3]
    assert ngu_discounts(1, 0.99, 0.9).tolist() == pytest.approx([0.99])
    assert agent57_discounts(8, 0.9999, 0.997, 0.99) == pytest.approx(
        ngu_discounts(8, 0.9999, 0.99)
    )
    nine = agent57_discounts(9, 0.9999, 0.997, 0.99)  # where the paper's formula divides by zero
    assert nine == pytest.approx(ngu_discounts(9, 0.9999, 0.99))
    with pytest.raises(RlpytError, match="n_arms=0"):
        intrinsic_weights(0, 0.3)


@pytest.mark.parametrize("n", [2, 8, 32])
def test_ngus_discounts(n):
    for i, discount in enumerate(ngu_discounts(n, 0.997, 0.99)):
        log = ((n - 1 - i) * math.log(1 - 0.997) + i * math.log(1 - 0.99)) / (n - 1)
        assert discount == pytest.approx(1 - math.exp(log), rel=1e-12), i


@pytest.mark.parametrize("n", [10, 32])
def test_agent57s_discounts(n):
    g0, g1, g2 = 0.9999, 0.997, 0.99
    found = agent57_discounts(n, g0, g1, g2)
    for j in range(n):
        if j == 0:
            expected = g0
        elif j <= 6:
            expected = g1 + (g0 - g1) * sigmoid(10 * (2 * j - 6) / 6)
        elif j == 7:
            expected = g1
        else:
            log = (n - 9) * math.log(1 - g1) + (j - 8) * (math.log(1 - g2) - math.log(1 - g1))
            expected = 1 - math.exp(log / (n - 9))
        assert found[j] == pytest.approx(expected, rel=1e-12), j


def test_values_combine_by_their_definition():
    rng = np.random.default_rng(0)
    extrinsic, intrinsic = rng.normal(scale=5.0, size=(2, 4, 3, 2))
    weight = rng.random((4, 3))
    found = combined_value(*map(torch.tensor, (extrinsic, intrinsic, weight)), EPS)
    for t, b, a in np.ndindex(4, 3, 2):
        expected = h(inverse_h(extrinsic[t, b, a]) + weight[t, b] * inverse_h(intrinsic[t, b, a]))
        assert found[t, b, a].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("retrace_lambda", [0.95, 1.0])
def test_transformed_retrace_against_loops(retrace_lambda):
    rng = np.random.default_rng(1)
    T, B = 7, 5
    reward, q, following = rng.normal(size=(3, T, B))
    ratio = rng.choice([0.0, 0.4, 1.0, 2.5], (T, B))
    terminated, truncated = rng.random((2, T, B)) < 0.15
    done = terminated | truncated
    following[terminated] = 0.0
    discount = rng.uniform(0.9, 0.99, B)
    found = transformed_retrace_return(
        *map(torch.tensor, (reward, q, following, ratio, done, discount)),
        retrace_lambda=retrace_lambda,
        eps=EPS,
    )
    for b in range(B):
        for t in range(T):
            total, weight = inverse_h(q[t, b]), 1.0
            for k in range(t, T):
                if k > t:
                    weight *= discount[b] * retrace_lambda * min(1.0, ratio[k, b])
                error = reward[k, b] + discount[b] * inverse_h(following[k, b])
                total += weight * (error - inverse_h(q[k, b]))
                if done[k, b]:
                    break
            assert found[t, b].item() == pytest.approx(h(total), rel=1e-9), (t, b)
