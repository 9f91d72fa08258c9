"""Values on a squashed scale, where rewards need no clipping: h of Pohlen et al. 2018
(arXiv:1805.11593), as in R2D2 (Kapturowski et al. 2019).

Both directions are written without the subtractions of nearly equal numbers that the papers'
formulas have: in float32 those lose half of the digits.
"""

import torch
from torch import Tensor

from rlpyt.ops.off_policy import retrace_return

__all__ = [
    "inverse_signed_hyperbolic",
    "signed_hyperbolic",
    "transformed_retrace_return",
    "transformed_target",
]


def signed_hyperbolic(x: Tensor, eps: float = 1e-3) -> Tensor:
    """h(x) = sign(x) (√(|x| + 1) - 1) + εx (Pohlen et al. 2018, Proposition A.2), shaped as ``x``.

    Args:
        x: values.
        eps: ε >= 0; above 0 the inverse is Lipschitz. 10⁻³ in R2D2, 10⁻² in Pohlen et al.
    """
    # √(|x| + 1) - 1 = |x| / (√(|x| + 1) + 1)
    return x / (torch.sqrt(x.abs() + 1.0) + 1.0) + eps * x


def inverse_signed_hyperbolic(z: Tensor, eps: float = 1e-3) -> Tensor:
    """h⁻¹(z) = sign(z) (((√(1 + 4ε(|z| + 1 + ε)) - 1) / 2ε)² - 1) (Pohlen et al. 2018, Proposition
    A.2), shaped as ``z``.

    Args:
        z: values on the scale of h.
        eps: ε >= 0, that of h.
    """
    # With w = √(|x| + 1) - 1, h is |z| = εw² + (1 + 2ε)w, and |x| = w (w + 2).
    slope = 1.0 + 2.0 * eps
    w = 2.0 * z / (slope + torch.sqrt(slope * slope + 4.0 * eps * z.abs()))
    return w * (w.abs() + 2.0)


def transformed_target(
    return_: Tensor, next_discount: Tensor, next_value: Tensor, eps: float = 1e-3
) -> Tensor:
    """The target of R2D2 (section 2.3), [...].

        y = h(R + γᵏ h⁻¹(Q⁻(s', a*)))

    Args:
        return_: R, the discounted sum of the k rewards up to s', [...], unscaled.
        next_discount: γᵏ, 0 where the episode terminated, [...].
        next_value: Q⁻(s', a*), [...], on the scale of h, as the network gives it.
        eps: ε of h.
    """
    next_value = inverse_signed_hyperbolic(next_value, eps)
    return signed_hyperbolic(return_ + next_discount * next_value, eps)


def transformed_retrace_return(
    reward: Tensor,
    q_value: Tensor,
    next_value: Tensor,
    ratio: Tensor,
    done: Tensor,
    discount: float | Tensor,
    *,
    retrace_lambda: float,
    eps: float = 1e-3,
) -> Tensor:
    """Retrace on the scale of h (Badia et al. 2020a, NGU, arXiv:2002.06038, appendix E), [T, B].

        y_t = h(h⁻¹(Q⁻(s_t, a_t)) + Σ_{k>=t} γ^{k-t} (Π_{t<i<=k} c_i) δ_k),
        δ_k = r_k + γ h⁻¹(E_π Q⁻(s_{k+1}, ·)) - h⁻¹(Q⁻(s_k, a_k)),   c_i = λ min(1, π / μ)

    For a greedy π the expectation is that of its one action, whose value h does not bend.

    Args:
        reward: [T, B], unscaled.
        q_value: Q⁻(s_t, a_t), on the scale of h, [T, B].
        next_value: Q⁻(s_{t+1}, a*) of the true next state, on the scale of h, [T, B]; zero where
            the episode terminated.
        ratio: π(a_t|s_t) / μ(a_t|s_t), [T, B].
        done: bool [T, B], terminated or truncated.
        discount: γ, or of each sequence, [B].
        retrace_lambda: λ.
        eps: ε of h.
    """
    return_ = retrace_return(
        reward,
        inverse_signed_hyperbolic(q_value, eps),
        inverse_signed_hyperbolic(next_value, eps),
        ratio,
        done,
        discount,
        retrace_lambda,
    )
    return signed_hyperbolic(return_, eps)
