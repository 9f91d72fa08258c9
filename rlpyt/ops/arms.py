"""A family of policies that explore more or less: weights of intrinsic reward and discounts, arm by
arm (Badia et al. 2020a, NGU, arXiv:2002.06038; Badia et al. 2020b, Agent57, arXiv:2003.13350).
"""

from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from rlpyt.ops.value_scaling import inverse_signed_hyperbolic, signed_hyperbolic
from rlpyt.utils.errors import RlpytError

__all__ = [
    "agent57_discounts",
    "combined_value",
    "intrinsic_weights",
    "ngu_discounts",
]


_Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def _sigmoid(x: _Numbers) -> _Numbers:
    found: _Numbers = 1.0 / (1.0 + np.exp(-x))
    return found


def intrinsic_weights(n_arms: int, most: float) -> _Numbers:
    """β_0 ... β_{N-1}, [N] float64 (NGU, section 3; appendix A of Agent57).

        β_0 = 0,   β_{N-1} = β,   β_i = β σ(10 (2i - (N - 2)) / (N - 2))   else

    Args:
        n_arms: N; a single arm has β_0 = 0.
        most: β.
    """
    _check(n_arms)
    i = np.arange(n_arms, dtype=np.float64)
    weights: _Numbers = most * _sigmoid(10.0 * (2.0 * i - (n_arms - 2)) / max(1, n_arms - 2))
    weights[-1] = most
    weights[0] = 0.0
    return weights


def ngu_discounts(n_arms: int, longest: float, shortest: float) -> _Numbers:
    """γ_0 ... γ_{N-1}, [N] float64, from γ_max down to γ_min (NGU, section 3).

        γ_i = 1 - exp([(N - 1 - i) log(1 - γ_max) + i log(1 - γ_min)] / (N - 1))

    Args:
        n_arms: N; a single arm has γ_max.
        longest: γ_max.
        shortest: γ_min.
    """
    _check(n_arms)
    place = np.arange(n_arms, dtype=np.float64) / max(1, n_arms - 1)
    found: _Numbers = 1.0 - np.exp((1.0 - place) * np.log1p(-longest) + place * np.log1p(-shortest))
    return found


def agent57_discounts(n_arms: int, longest: float, middle: float, shortest: float) -> _Numbers:
    """γ_0 ... γ_{N-1}, [N] float64 (Agent57, appendix A).

        γ_j = γ⁰                                                          j = 0
              γ¹ + (γ⁰ - γ¹) σ(10 (2j - 6) / 6)                           j = 1 ... 6
              γ¹                                                          j = 7
              1 - exp([(N - 9) log(1 - γ¹) + (j - 8)(log(1 - γ²) - log(1 - γ¹))] / (N - 9))   else

    That is for N > 9. With fewer arms the last line would divide by zero, or not be reached: they
    go from γ⁰ down to γ² as in :func:`ngu_discounts`.

    Args:
        n_arms: N.
        longest: γ⁰.
        middle: γ¹.
        shortest: γ².
    """
    if n_arms <= 9:
        return ngu_discounts(n_arms, longest, shortest)
    j = np.arange(n_arms, dtype=np.float64)
    found: _Numbers = middle + (longest - middle) * _sigmoid(10.0 * (2.0 * j - 6.0) / 6.0)
    found[0], found[7] = longest, middle
    found[8:] = ngu_discounts(n_arms - 8, middle, shortest)
    return found


def combined_value(extrinsic: Tensor, intrinsic: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Q = h(h⁻¹(Q_e) + β h⁻¹(Q_i)), shaped as ``extrinsic`` (Agent57, section 3.1).

    Args:
        extrinsic: Q_e on the scale of h, [..., A].
        intrinsic: Q_i on the scale of h, [..., A].
        weight: β, [...].
        eps: ε of h.
    """
    own = inverse_signed_hyperbolic(intrinsic, eps) * weight.unsqueeze(-1)
    return signed_hyperbolic(inverse_signed_hyperbolic(extrinsic, eps) + own, eps)


def _check(n_arms: int) -> None:
    if n_arms < 1:
        raise RlpytError("config", f"n_arms={n_arms}", hint="use 1 or more")
