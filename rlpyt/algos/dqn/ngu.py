"""Never Give Up (Badia et al. 2020, arXiv:2002.06038): a family of policies that explore more or
less, learned off-policy by one network, paid for what is new in the episode and at all.

Differs from the paper: learning is synchronous, a replay as in :class:`R2D1` takes what any sampler
gives; intrinsic rewards are computed when a batch is appended, by the embedding of that moment, and
scaled by their running deviation; the networks of the reward learn from each batch once, not from
the replay; the previous intrinsic reward is no input; arms are drawn between batches, so that
episodes of one environment that begin in the same batch play the same.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch

from rlpyt.algos.dqn.armed_replay import retrace_target
from rlpyt.algos.dqn.family import FamilyAlgorithm, arm_generators
from rlpyt.algos.dqn.r2d1 import r2d1_losses
from rlpyt.algos.q_losses import QLosses
from rlpyt.data import Samples
from rlpyt.ops.arms import ngu_discounts
from rlpyt.replays.batches import ReplaySequences
from rlpyt.utils.seed import generator_state, load_generator_state

__all__ = ["NGU"]


@final
@dataclass(kw_only=True)
class NGU(FamilyAlgorithm):
    """Each episode plays an arm drawn evenly. The network learns Q(s, a; j) of r_e + β_j r_i:

        y_t = h(h⁻¹(Q⁻(s_t, a_t; j)) + Σ_{k>=t} γ_j^{k-t} (Π c_i) δ_k),   c_i = λ min(1, π / μ),
        δ_k = r_e + β_j r_i + γ_j h⁻¹(Q⁻(s_{k+1}, a*; j)) - h⁻¹(Q⁻(s_k, a_k; j))

    a* is greedy by the online network. The loss is that of :func:`r2d1_losses`.
    """

    split: ClassVar[bool] = False

    def discounts(self, n_arms: int) -> Any:
        """From ``discount`` down to ``discount_min``."""
        return ngu_discounts(n_arms, self.discount, self.discount_min)

    def begin(self, places: range, n_envs: int, seed: int) -> None:
        """A generator for each environment, by its global index."""
        self._first = places.start
        self._arm_rngs = arm_generators(places, seed)
        self._draw()

    def choose_arms(self, samples: Samples) -> None:
        """Evenly: of environments that explore much by ε, and of those that do little, alike."""
        self._draw()

    def _draw(self) -> None:
        self._arms = [int(rng.integers(self.agent.n_arms)) for rng in self._arm_rngs]
        self.agent.play_next(self._first, self._arms)

    def losses(self, batch: ReplaySequences) -> QLosses:
        """As :func:`r2d1_losses`, with the targets of Retrace."""
        run = self.unrolled(batch)
        with torch.no_grad():
            target = retrace_target(
                run.target.extrinsic,
                run.greedy,
                run.steps,
                run.steps.reward + self.agent.weights[run.steps.arm] * run.steps.intrinsic,
                run.discount,
                retrace_lambda=self.retrace_lambda,
                eps=self.agent.value_scale_eps,
            )
        q = run.online.extrinsic[: len(target)]
        eta = self.replay.priority_eta
        return r2d1_losses(q, batch.action, target, batch.valid, priority_eta=eta)

    def arm_state(self) -> dict[str, Any]:
        """What was drawn, and the generators."""
        generators = [generator_state(rng) for rng in self._arm_rngs]
        return {"arms": list(self._arms), "generators": generators}

    def load_arm_state(self, state: dict[str, Any]) -> None:
        """Continue."""
        for rng, saved in zip(self._arm_rngs, state["generators"], strict=True):
            load_generator_state(rng, saved)
        self._arms = state["arms"]
        self.agent.play_next(self._first, self._arms)
