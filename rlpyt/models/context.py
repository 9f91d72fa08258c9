"""The context encoder of PEARL: from transitions of a task to a belief about which task it is.

Rakelly et al. 2019 (arXiv:1903.08254). As in the authors' release, each transition gives a factor
of its own, so that neither their order nor their number matters, and whether it ended an episode is
not used.
"""

from collections.abc import Sequence
from typing import Any, Self, final

import torch
from gymnasium import Space
from torch import Tensor, nn
from torch.nn import functional

from rlpyt.models.encoder import Encoder, encoder_for
from rlpyt.models.mlp import Mlp, Nonlinearity
from rlpyt.ops.posterior import (
    Evidence,
    Gaussians,
    belief_from,
    evidence_of,
    total_evidence,
)
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError

__all__ = ["Context", "ContextEncoder"]


class Context(NamedArrayTuple):
    """Transitions of one task each, [..., N, *shape]; N may be 0."""

    observation: Any
    action: Any
    reward: Tensor  # [..., N]
    next_observation: Any = None  # where the dynamics are what differs between tasks


@final
class ContextEncoder(nn.Module):
    """q(z | c) = Π_n N(z; f(c_n)), with f a multi-layer perceptron of a transition c_n.

    f gives μ_n and, through softplus, σ_n². Without any transition it is the prior N(0, 1). The
    deterministic variant, without an information bottleneck, is certain of z = mean_n f(c_n), and
    of 0 without any transition.
    """

    def __init__(
        self,
        *,
        observation: Encoder,
        action: Encoder,
        latent_size: int,
        hidden_sizes: Sequence[int],
        nonlinearity: Nonlinearity,
        next_observation: bool,
        deterministic: bool,
    ) -> None:
        """Of parts; :meth:`from_spaces` makes them."""
        super().__init__()
        self.observation = observation
        self.action = action
        self.next_observation = next_observation
        self.latent_size = latent_size
        self.deterministic = deterministic
        n_observations = 2 if next_observation else 1
        size = n_observations * observation.feature_size + action.feature_size + 1
        n_outputs = latent_size if deterministic else 2 * latent_size
        self.network = Mlp(size, hidden_sizes, n_outputs, nonlinearity, init="default")

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        latent_size: int = 5,
        hidden_sizes: Sequence[int] = (200, 200, 200),
        nonlinearity: Nonlinearity = "relu",
        next_observation: bool = False,
        deterministic: bool = False,
    ) -> Self:
        """Build for these spaces.

        Args:
            observation_space: What is observed; images are taken as vectors.
            action_space: Of the actions; discrete ones become one-hot.
            latent_size: Length of z.
            hidden_sizes: Hidden layers of f.
            nonlinearity: Between them.
            next_observation: Whether f sees what followed, which tells dynamics apart.
            deterministic: Whether z is certain, whatever the evidence.

        Raises:
            RlpytError: for a size below 1.
        """
        if latent_size < 1:
            raise RlpytError("config", f"latent_size={latent_size}", hint="PEARL has 5")
        return cls(
            observation=encoder_for(observation_space, image="flatten"),
            action=encoder_for(action_space, image="flatten"),
            latent_size=latent_size,
            hidden_sizes=hidden_sizes,
            nonlinearity=nonlinearity,
            next_observation=next_observation,
            deterministic=deterministic,
        )

    def forward(self, context: Context, valid: Tensor | None = None) -> Gaussians:
        """The belief after the transitions, [..., latent_size]; ``valid`` [..., N] bool: those that
        count, ``None``: all.
        """
        return self.belief(total_evidence(self.evidence(context), valid))

    def evidence(self, context: Context) -> Evidence:
        """What each transition says by itself, [..., N, latent_size].

        Raises:
            RlpytError: ``config``, for a context without next observations, where they are looked
                at.
        """
        parts = [
            self.observation(context.observation),
            self.action(context.action),
            context.reward.unsqueeze(-1),
        ]
        if self.next_observation:
            if context.next_observation is None:
                hint = "record next observations, or build with next_observation=False"
                raise RlpytError("config", "the context has no next_observation", hint=hint)
            parts.append(self.observation(context.next_observation))
        dtype = next(self.network.parameters()).dtype
        outputs = self.network(torch.cat([part.to(dtype) for part in parts], dim=-1))
        if self.deterministic:
            return Evidence(torch.ones_like(outputs), outputs)
        mean, spread = outputs.chunk(2, dim=-1)
        return evidence_of(Gaussians(mean=mean, var=functional.softplus(spread)))

    def belief(self, total: Evidence) -> Gaussians:
        """What all the evidence comes to, [..., latent_size] of such sums."""
        found = belief_from(total)
        return found._replace(var=torch.zeros_like(found.var)) if self.deterministic else found
