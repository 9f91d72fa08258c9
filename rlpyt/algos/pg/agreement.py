"""Agreement of a policy and a value over augmented observations, the regularisation of DrAC
(Raileanu et al. 2020, arXiv:2006.12862), for any algorithm.

What an augmentation does not change the meaning of should not change what is done, nor what it is
worth. Differs from the authors' release as its paper does: there the policy's term is the
log-probability of one action, a sample of the KL here, and the value's is halved.
"""

from typing import Any

import torch
from torch import Tensor

from rlpyt.distributions.base import Distribution
from rlpyt.ops.losses import valid_mean
from rlpyt.utils.buffer import buffer_map

__all__ = ["policy_agreement_loss", "value_agreement_loss"]


def policy_agreement_loss(
    distribution: Distribution, dist_info: Any, augmented: Any, valid: Tensor | None
) -> Tensor:
    """G_π = E[KL(π(·|s) || π(·|f(s)))], a scalar; π(·|s) is a target and gets no gradient.

    Args:
        distribution: The policy's family.
        dist_info: Of π(·|s), tree [..., ...].
        augmented: Of π(·|f(s)), likewise, for an augmentation f.
        valid: Which entries count, [...] bool; None: all.
    """
    target = buffer_map(lambda leaf: leaf.detach(), dist_info)
    return valid_mean(distribution.kl(target, augmented), valid)


def value_agreement_loss(value: Tensor, augmented: Tensor, valid: Tensor | None) -> Tensor:
    """G_V = E[(V(s) - V(f(s)))²], a scalar; V(s) [...] is a target and gets no gradient,
    V(f(s)) is ``augmented`` [...].
    """
    return valid_mean(torch.square(value.detach() - augmented), valid)
