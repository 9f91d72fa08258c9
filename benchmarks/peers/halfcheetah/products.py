"""What the matrix products of one update of SAC take, and nothing else: the limit of this machine.

Three ways: ``torch.mm`` one after another, ``torch.baddbmm`` of both critics at once, and oneDNN's
linear layer, which on processors other than Intel's may be the fastest.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from peers.halfcheetah.settings import SacSettings

__all__ = ["Product", "measure_products", "products_of_update"]


class Product(NamedTuple):
    """``n`` products [rows, inner] x [inner, columns], ``times`` in one update."""

    n: int
    rows: int
    inner: int
    columns: int
    times: int

    @property
    def flop(self) -> int:
        """Floating-point operations of all of them in one update."""
        return 2 * self.n * self.rows * self.inner * self.columns * self.times


def products_of_update(settings: SacSettings, obs_size: int, action_size: int) -> list[Product]:
    """Forward: the policy twice, the critics three times. Backward: weights of all once, inputs of
    all layers but the first once for the critics' step and once for the policy's, there down to the
    action.
    """
    N, (first, second) = settings.minibatch, settings.hidden
    inputs, params = obs_size + action_size, 2 * action_size
    return [
        Product(1, N, obs_size, first, 2),
        Product(1, N, first, second, 2),
        Product(1, N, second, params, 2),
        Product(2, N, inputs, first, 3),
        Product(2, N, first, second, 3),
        Product(2, N, second, 1, 3),
        Product(2, inputs, N, first, 1),
        Product(2, first, N, second, 1),
        Product(2, second, N, 1, 1),
        Product(2, N, 1, second, 2),
        Product(2, N, second, first, 2),
        Product(2, N, first, action_size, 1),
        Product(1, obs_size, N, first, 1),
        Product(1, first, N, second, 1),
        Product(1, second, N, params, 1),
        Product(1, N, params, second, 1),
        Product(1, N, second, first, 1),
    ]


def measure_products(
    settings: SacSettings, obs_size: int, action_size: int, repeats: int = 100
) -> dict[str, Any]:
    """Milliseconds of all products of one update: each way, and each product its fastest way;
    ``best`` is that of the latter, ``gflop`` the work.
    """
    products = products_of_update(settings, obs_size, action_size)
    ways = ("torch.mm", "torch.baddbmm", "oneDNN")
    totals, best = dict.fromkeys(ways, 0.0), 0.0
    with torch.inference_mode():
        for product in products:
            took = [_seconds(call, repeats) for call in _calls(product)]
            for way, seconds in zip(ways, took, strict=True):
                totals[way] += 1000.0 * product.times * seconds
            best += 1000.0 * product.times * min(took)
    work = sum(product.flop for product in products) / 1e9
    return {"ms": totals, "best": best, "gflop": work}


def _calls(product: Product) -> list[Callable[[], object]]:
    x = torch.randn(product.n, product.rows, product.inner)
    weight = torch.randn(product.n, product.inner, product.columns)
    bias = torch.randn(product.n, 1, product.columns)
    pairs = list(zip(x.unbind(), weight.unbind(), strict=True))
    transposed = [(one, matrix.t().contiguous()) for one, matrix in pairs]

    def linear(one: Tensor, matrix: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(one, matrix, None, "none", [], "")

    return [
        lambda: [torch.mm(*pair) for pair in pairs],
        lambda: torch.baddbmm(bias, x, weight),
        lambda: [linear(*pair) for pair in transposed],
    ]


def _seconds(call: Callable[[], object], repeats: int) -> float:
    """CPU seconds of one call where there is one thread, which other processes do not touch; else
    wall seconds.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for _ in range(10):
        call()
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats
