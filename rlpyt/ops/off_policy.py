"""Multi-step returns for data of another policy: n-step, Q(λ), Retrace, V-trace. Time first.

Termination is told from truncation as in :mod:`rlpyt.ops.returns`: ``next_value`` is the value of
the *true* next state (:func:`rlpyt.ops.returns.next_values`), zero where the episode terminated;
``done`` stops the sum, and where it stops, as at the last row, the return bootstraps from
``next_value``. All functions are differentiable: call them under ``torch.no_grad`` for targets.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from rlpyt.ops.returns import reverse_linear_recurrence

__all__ = [
    "VTrace",
    "n_step_return",
    "off_policy_return",
    "q_lambda_return",
    "retrace_return",
    "vtrace",
]


def _next_row(x: Tensor) -> Tensor:
    """x_{t+1}, [T, ...]; in the last row, where nobody looks, x_t."""
    return torch.cat([x[1:], x[-1:]])


def _goes_on(done: Tensor) -> Tensor:
    """Whether row t + 1 continues the episode of row t, bool [T, ...]; not in the last row."""
    goes_on = ~done
    goes_on[-1] = False
    return goes_on


def n_step_return(
    reward: Tensor, next_value: Tensor, done: Tensor, discount: float, n_step: int
) -> Tensor:
    """G_t = Σ_{k<m} γᵏ r_{t+k} + γᵐ V(s_{t+m}), uncorrected (Sutton & Barto 2018, eq. 7.1), [T, B].

    m is n, or fewer where the episode or the sequence ends before.

    Args:
        reward: [T, B].
        next_value: V or max_a Q of the true next state, [T, B], zero where terminated.
        done: bool [T, B], terminated or truncated.
        discount: γ.
        n_step: n, at least 1.
    """
    goes_on = _goes_on(done)
    return_ = reward + discount * next_value
    for _ in range(n_step - 1):
        return_ = reward + discount * torch.where(goes_on, _next_row(return_), next_value)
    return return_


def q_lambda_return(
    reward: Tensor,
    next_value: Tensor,
    done: Tensor,
    discount: float,
    q_lambda: float,
    greedy: Tensor | None = None,
) -> Tensor:
    """Q(λ), with max_a Q as the value (Peng & Williams 1996; Daley & Amato 2019, arXiv:1810.09967;
    the target of PQN, Gallici et al. 2024, arXiv:2407.04811), [T, B].

        G_t = r_t + γ [(1 - λ) max_a Q(s_{t+1}, a) + λ G_{t+1}],
        G_t = r_t + γ max_a Q(s_{t+1}, a)   where the episode is done, and in the last row

    With V(s_{t+1}) as ``next_value`` it is the λ-return of TD(λ).

    Args:
        reward: [T, B].
        next_value: max_a Q(s_{t+1}, a) of the true next state, [T, B]: zero where terminated, the
            final observation's where truncated.
        done: bool [T, B], terminated or truncated.
        discount: γ.
        q_lambda: λ; 0 gives one-step targets, 1 the return of the whole sequence.
        greedy: bool [T, B], whether action a_t was greedy: the sum then stops before one that was
            not (Watkins' Q(λ)). Without it it does not (Peng's).
    """
    trace = q_lambda * _goes_on(done).to(reward.dtype)
    if greedy is not None:
        trace = trace * _next_row(greedy).to(reward.dtype)
    one_step = reward + discount * (1.0 - trace) * next_value
    return reverse_linear_recurrence(one_step, discount * trace)


def off_policy_return(
    reward: Tensor,
    q_value: Tensor,
    next_value: Tensor,
    trace: Tensor,
    done: Tensor,
    discount: float | Tensor,
) -> Tensor:
    """The general return-based off-policy target (Munos et al. 2016, arXiv:1606.02647, eq. 3),
    [T, B].

        G_t = Q(s_t, a_t) + Σ_{k>=t} γ^{k-t} (Π_{t<i<=k} c_i) δ_k,
        δ_t = r_t + γ E_π Q(s_{t+1}, ·) - Q(s_t, a_t)

    The trace c is π/μ for importance sampling, λ for Q^π(λ), λπ for tree backup, and as in
    :func:`retrace_return` for Retrace.

    Args:
        reward: [T, B].
        q_value: Q(s_t, a_t) of the action taken, [T, B].
        next_value: E_π Q(s_{t+1}, ·) of the true next state, [T, B], zero where terminated.
        trace: c_t, [T, B]; row 0 is not used.
        done: bool [T, B], terminated or truncated.
        discount: γ, or of each column, [B].
    """
    error = reward + discount * next_value - q_value
    decay = discount * _goes_on(done).to(error.dtype) * _next_row(trace)
    return q_value + reverse_linear_recurrence(error, decay)


def retrace_return(
    reward: Tensor,
    q_value: Tensor,
    next_value: Tensor,
    ratio: Tensor,
    done: Tensor,
    discount: float | Tensor,
    retrace_lambda: float = 1.0,
) -> Tensor:
    """Retrace(λ): :func:`off_policy_return` with c_t = λ min(1, π(a_t|s_t) / μ(a_t|s_t)) (Munos et
    al. 2016, arXiv:1606.02647, section 3), [T, B].

    Args:
        reward: [T, B].
        q_value: Q(s_t, a_t) of the action taken, [T, B].
        next_value: E_π Q(s_{t+1}, ·) of the true next state, [T, B], zero where terminated.
        ratio: π(a_t|s_t) / μ(a_t|s_t), target over behaviour policy, [T, B].
        done: bool [T, B], terminated or truncated.
        discount: γ, or of each column, [B].
        retrace_lambda: λ.
    """
    trace = retrace_lambda * ratio.clamp(max=1.0)
    return off_policy_return(reward, q_value, next_value, trace, done, discount)


class VTrace(NamedTuple):
    """What :func:`vtrace` gives, [T, B] each."""

    return_: Tensor  # v_t, the target of V(s_t)
    advantage: Tensor  # of a_t, for the policy gradient; weighted by its ratio, or not


def vtrace(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    ratio: Tensor,
    done: Tensor,
    discount: float,
    *,
    vtrace_lambda: float = 1.0,
    rho_clip: float = 1.0,
    c_clip: float = 1.0,
    pg_rho_clip: float | None = 1.0,
) -> VTrace:
    """V-trace (Espeholt et al. 2018, IMPALA, arXiv:1802.01561, eq. 1; section 4.2 for the
    advantage), [T, B].

        v_t = V(s_t) + δ_t + γ c_t (v_{t+1} - V(s_{t+1})),
        δ_t = ρ_t (r_t + γ V(s_{t+1}) - V(s_t)),
        A_t = min(ρ̄_pg, π/μ) (r_t + γ [(1 - λ) V(s_{t+1}) + λ v_{t+1}] - V(s_t)),
        ρ_t = min(ρ̄, π/μ),   c_t = λ min(c̄, π/μ)

    Where the episode is done, and in the last row, v_{t+1} is V of the true next state. On-policy
    (π = μ) A is the advantage of GAE(λ), and v, the λ-return, is A + V. The paper's A has no λ.

    Args:
        reward: [T, B].
        value: V(s_t), [T, B].
        next_value: V of the true next state, [T, B], zero where terminated.
        ratio: π(a_t|s_t) / μ(a_t|s_t), target over behaviour policy, [T, B].
        done: bool [T, B], terminated or truncated.
        discount: γ.
        vtrace_lambda: λ.
        rho_clip: ρ̄: what the values converge to.
        c_clip: c̄: how fast; at most ``rho_clip``.
        pg_rho_clip: ρ̄_pg of the policy gradient; None: A is not weighted, for a surrogate loss that
            has the ratio itself.
    """
    goes_on = _goes_on(done)
    error = ratio.clamp(max=rho_clip) * (reward + discount * next_value - value)
    trace = vtrace_lambda * ratio.clamp(max=c_clip)
    decay = discount * goes_on.to(error.dtype) * trace
    return_ = value + reverse_linear_recurrence(error, decay)
    following = torch.lerp(next_value, _next_row(return_), vtrace_lambda)
    advantage = reward + discount * torch.where(goes_on, following, next_value) - value
    if pg_rho_clip is not None:
        advantage = ratio.clamp(max=pg_rho_clip) * advantage
    return VTrace(return_, advantage)
