"""Distributions of returns over fixed atoms: C51 (Bellemare et al. 2017, arXiv:1707.06887).

Probabilities are [..., K] over the K atoms of an evenly spaced support [K]. A network's outputs are
[N, A, K]: the atoms are the last axis, and :func:`rlpyt.ops.q_learning.at_action` picks an action.
"""

import torch
from torch import Tensor

__all__ = [
    "categorical_cross_entropy",
    "categorical_kl",
    "categorical_mean",
    "categorical_support",
    "categorical_target",
    "project_categorical",
]


def categorical_support(
    v_min: float,
    v_max: float,
    n_atoms: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> Tensor:
    """The atoms z_i = V_min + i Δz, Δz = (V_max - V_min) / (K - 1), [K] (section 4).

    Args:
        v_min: the lowest return that can be told from lower ones.
        v_max: the highest, above ``v_min``.
        n_atoms: K, at least 2.
        dtype: of the atoms.
        device: where the atoms are.
    """
    return torch.linspace(v_min, v_max, n_atoms, dtype=dtype, device=device)


def categorical_mean(prob: Tensor, support: Tensor) -> Tensor:
    """Q = Σ_i z_i p_i, [...] (Algorithm 1).

    Args:
        prob: p, [..., K].
        support: z, [K].
    """
    return prob @ support


def project_categorical(prob: Tensor, atoms: Tensor, support: Tensor) -> Tensor:
    """The distribution with mass ``prob`` at ``atoms``, moved onto ``support`` (eq. 7), [..., K].

        (ΦZ)_i = Σ_j [1 - |[a_j]_{V_min}^{V_max} - z_i| / Δz]_0^1 p_j

    Each atom's mass goes to its two neighbours, in proportion to nearness; all of it to one where
    the atom lies on it (l = u in Algorithm 1), or to the end where it lies outside. Mass is
    preserved; so is the mean while the atoms lie inside. The same bit for bit in every run.

    Args:
        prob: p, [..., M].
        atoms: a, [..., M].
        support: z, [K], evenly spaced and ascending, K >= 2.
    """
    last = support.shape[0] - 1
    spacing = (support[-1] - support[0]) / last
    # In units of Δz, where the atoms of the support are exact: the shares then sum to one.
    position = ((atoms - support[0]) / spacing).clamp(0.0, float(last))
    # Scattered additions are the faster, but elsewhere come in an order that differs from run to
    # run, and so do their sums.
    project = _project_by_scattering if prob.device.type == "cpu" else _project_by_product
    return project(prob, position, last + 1)


def _project_by_scattering(prob: Tensor, position: Tensor, n_atoms: int) -> Tensor:
    """Add the mass at ``position`` [..., M], in 0 ... K - 1, to the atoms below and above."""
    below = position.floor()
    share_above = position - below
    lower = below.long().clamp(0, n_atoms - 1)  # NaN is no index: its mass is NaN, at atom 0
    upper = (lower + 1).clamp(max=n_atoms - 1)  # at the last atom its share is 0
    empty = torch.zeros(*prob.shape[:-1], n_atoms, dtype=prob.dtype, device=prob.device)
    half = empty.scatter_add(-1, lower, prob * (1.0 - share_above))
    return half.scatter_add(-1, upper, prob * share_above)


def _project_by_product(prob: Tensor, position: Tensor, n_atoms: int) -> Tensor:
    """The same by a matrix of shares, [..., K, M]."""
    atom = torch.arange(n_atoms, dtype=position.dtype, device=position.device)
    distance = (position.unsqueeze(-2) - atom.unsqueeze(-1)).abs()
    share = (1.0 - distance).clamp(min=0.0)
    return (share @ prob.unsqueeze(-1)).squeeze(-1)


def categorical_target(
    return_: Tensor, next_discount: Tensor, next_prob: Tensor, support: Tensor
) -> Tensor:
    """ΦT̂Z: the distribution of R + γᵏ Z(s', a*) on the support (eq. 7, Algorithm 1), [..., K].

    Args:
        return_: R, the discounted sum of the k rewards up to s', [...].
        next_discount: γᵏ, 0 where the episode terminated, [...]: all mass is then at R.
        next_prob: p(s', a*) of the target network, [..., K].
        support: z, [K].
    """
    atoms = return_.unsqueeze(-1) + next_discount.unsqueeze(-1) * support
    return project_categorical(next_prob, atoms, support)


def categorical_cross_entropy(target_prob: Tensor, log_prob: Tensor) -> Tensor:
    """-Σ_i m_i log p_i, [...]: the loss (Algorithm 1), the target m a constant.

    Args:
        target_prob: m, [..., K].
        log_prob: log p(s, a), [..., K], finite (``log_softmax`` of finite logits).
    """
    return -(target_prob.detach() * log_prob).sum(-1)


def categorical_kl(target_prob: Tensor, log_prob: Tensor) -> Tensor:
    """KL(m ‖ p) = Σ_i m_i (log m_i - log p_i), [...], never below 0: Rainbow's priority (Hessel et
    al. 2018, arXiv:1710.02298, "Rainbow: the integrated agent"). Gets no gradient.

    Args:
        target_prob: m, [..., K]; may hold zeros.
        log_prob: log p(s, a), [..., K], finite.
    """
    target_prob, log_prob = target_prob.detach(), log_prob.detach()
    divergence = (torch.xlogy(target_prob, target_prob) - target_prob * log_prob).sum(-1)
    return divergence.clamp(min=0.0)  # rounding can bring equal distributions below it
