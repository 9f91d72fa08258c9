"""A recurrent model of what the next observations will be like (Guo et al. 2022, arXiv:2206.08332,
section 3.1).
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from rlpyt.models.mlp import Mlp
from rlpyt.rewards.actions import ActionCode
from rlpyt.rewards.checks import check_numbers, check_sizes
from rlpyt.rewards.features import FeatureNetwork, in_chunks
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.collections import NamedArrayTuple

__all__ = ["LatentWorld", "WorldState"]


class WorldState(NamedArrayTuple):
    """What the model knows of B environments between two steps, batch first."""

    belief: Tensor  # [B, M], b of the last step
    prev_code: Tensor  # [B, A], the last action
    is_new: Tensor  # bool [B]: the next step starts an episode
    foresight: Tensor  # [B, K, M], b of the last K steps, gone on by the actions since
    is_foreseen: Tensor  # bool [B, K]: which of them are of this episode


@final
class LatentWorld(nn.Module):
    """Beliefs of what has been seen, and what they foresee.

        b_t = h_closed(b_{t-1}, [f(o_t), a_{t-1}]),   b_{t,0} = b_t
        b_{t,k} = h_open(b_{t,k-1}, a_{t+k-1}),   p_{t,k} = g(b_{t,k})

    Both h are GRU cells, b is 0 before an episode.

    Args:
        encoder: f.
        action_code: Actions as numbers.
        memory_size: M, length of b.
        hidden_sizes: Hidden layers of g.
    """

    def __init__(
        self,
        encoder: FeatureNetwork,
        action_code: ActionCode,
        memory_size: int,
        hidden_sizes: Sequence[int],
    ) -> None:
        super().__init__()
        check_sizes(model_sizes=hidden_sizes)
        check_numbers(1, memory_size=memory_size)
        self.encoder = encoder
        self.action_code = action_code
        self.closed = nn.GRUCell(encoder.feature_size + action_code.size, memory_size)
        self.open = nn.GRUCell(action_code.size, memory_size)
        self.predictor = Mlp(memory_size, hidden_sizes, encoder.feature_size, "relu")

    def initial_state(self, B: int, horizon: int) -> WorldState:
        """Before the first step of ``B`` environments, K = ``horizon``."""
        size = self.closed.hidden_size
        return WorldState(
            belief=torch.zeros(B, size),
            prev_code=torch.zeros(B, self.action_code.size),
            is_new=torch.ones(B, dtype=torch.bool),
            foresight=torch.zeros(B, horizon, size),
            is_foreseen=torch.zeros(B, horizon, dtype=torch.bool),
        )

    def forward(
        self, samples: RewardSamples, state: WorldState
    ) -> tuple[Tensor, Tensor, WorldState]:
        """What is foreseen of the next observations of ``samples`` [T, B, ...], which follow on
        ``state``.

        Returns:
            p_{t+1-k,k} [T, B, K, N]; whether there is one, bool [T, B, K]: not before the episode
            began, nor at a step that is not valid; the state behind the last step.
        """
        observed = in_chunks(self.encoder, samples.observation)
        code = self.action_code(samples.action)
        starts = torch.cat([state.is_new.unsqueeze(0), samples.is_last[:-1]])
        if samples.reset is not None:
            starts = starts | samples.reset
        foresights, foreseen = [], []
        for t in range(len(starts)):
            state = self._step(state._replace(is_new=starts[t]), observed[t], code[t])
            foresights.append(state.foresight)
            foreseen.append(state.is_foreseen)
        is_foreseen = torch.stack(foreseen)
        if samples.valid is not None:
            is_foreseen = is_foreseen & samples.valid.unsqueeze(-1)
        prediction: Tensor = self.predictor(torch.stack(foresights))
        return prediction, is_foreseen, state._replace(is_new=samples.is_last[-1])

    def _step(self, state: WorldState, observed: Tensor, code: Tensor) -> WorldState:
        """One step on: see f(o_t) ``observed`` [B, N], and look one further by a_t, ``code``
        [B, A].
        """
        goes_on = ~state.is_new.unsqueeze(-1)
        before = torch.where(goes_on, state.belief, 0.0)
        seen = torch.cat([observed, torch.where(goes_on, state.prev_code, 0.0)], dim=-1)
        belief = self.closed(seen, before)
        beliefs = torch.cat([belief.unsqueeze(1), state.foresight[:, :-1]], dim=1)  # [B, K, M]
        older = state.is_foreseen[:, :-1] & goes_on
        B, K, M = beliefs.shape
        codes = code.unsqueeze(1).expand(B, K, -1)
        foresight = self.open(codes.flatten(0, 1), beliefs.flatten(0, 1)).reshape(B, K, M)
        return WorldState(
            belief=belief,
            prev_code=code,
            is_new=state.is_new,
            foresight=foresight,
            is_foreseen=torch.cat([torch.ones_like(goes_on), older], dim=1),
        )
