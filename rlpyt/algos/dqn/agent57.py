"""Agent57 (Badia et al. 2020, arXiv:2003.13350): NGU with values of reward and of novelty apart,
and a bandit in each environment that chooses how much to explore, and how far to look ahead.

Differs from the paper: as :class:`NGU`; the bandits choose between batches (bandit.py), and
evaluation plays the arm of the best mean return in the windows of that half of the environments
that acts at random least, instead of a bandit of its own; the priority is |δ_e| + β_j |δ_i|, where
the paper tells none; a gradient's norm is that of both networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.base import Exploration
from rlpyt.algos.dqn.armed_replay import retrace_target
from rlpyt.algos.dqn.bandit import EpisodeBandits
from rlpyt.algos.dqn.family import FamilyAlgorithm, arm_generators
from rlpyt.algos.q_losses import QLosses, sequence_losses
from rlpyt.data import Samples
from rlpyt.ops.arms import agent57_discounts
from rlpyt.ops.q_learning import at_action
from rlpyt.replays.batches import ReplaySequences

__all__ = ["Agent57", "agent57_losses"]


def agent57_losses(
    extrinsic: Tensor,
    intrinsic: Tensor,
    action: Tensor,
    extrinsic_target: Tensor,
    intrinsic_target: Tensor,
    weight: Tensor,
    valid: Tensor,
    *,
    priority_eta: float,
) -> QLosses:
    """The loss of each sequence, [N]: the mean over its valid steps (section 3.1).

        L = E_t[½ (y_e - Q_e(s_t, a_t))² + ½ (y_i - Q_i(s_t, a_t))²]
        p = η max_t δ_t + (1 - η) mean_t δ_t,   δ = |y_e - Q_e| + β_j |y_i - Q_i|

    Args:
        extrinsic: Q_e(s_t, ·), [length, N, A], on the scale of h.
        intrinsic: Q_i(s_t, ·), likewise.
        action: a_t, [length, N] int64.
        extrinsic_target: y_e, [length, N], without gradient.
        intrinsic_target: y_i, likewise.
        weight: β_j, [length, N].
        valid: bool [length, N]; other steps may hold anything finite.
        priority_eta: η.
    """
    q_e, q_i = at_action(extrinsic, action), at_action(intrinsic, action)
    error_e, error_i = extrinsic_target - q_e, intrinsic_target - q_i
    steps = QLosses(
        0.5 * error_e.square() + 0.5 * error_i.square(),
        error_e.detach().abs() + weight * error_i.detach().abs(),
        q_e.detach(),
    )
    return sequence_losses(steps, valid, priority_eta)


@final
@dataclass(kw_only=True)
class Agent57(FamilyAlgorithm):
    """Q_e learns r_e, Q_i learns r_i, both by Retrace towards the policy that is greedy in
    h(h⁻¹(Q_e) + β_j h⁻¹(Q_i)); before each episode a bandit chooses j.
    """

    split: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "discount_max": (0.0, 0.999999),
        "bandit_window": (1, float("inf")),
        "bandit_bonus": (0.0, float("inf")),
        "bandit_epsilon": (0.0, 1.0),
    }

    falling: ClassVar[Sequence[str]] = ("discount_max", "discount", "discount_min")

    discount_max: float = 0.9999  # γ⁰, of the first arm; discount is γ¹, discount_min γ²
    bandit_window: int = 90  # τ, episodes of one environment
    bandit_bonus: float = 1.0  # β of the bound
    bandit_epsilon: float = 0.5  # ε, of a uniform arm

    def discounts(self, n_arms: int) -> Any:
        """Of the paper's appendix A."""
        return agent57_discounts(n_arms, self.discount_max, self.discount, self.discount_min)

    def begin(self, places: range, n_envs: int, seed: int) -> None:
        """One bandit for each environment, its generator by the environment's global index."""
        self._first = places.start
        self.bandits = EpisodeBandits(
            arm_generators(places, seed),
            n_arms=self.agent.n_arms,
            window=self.bandit_window,
            bonus=self.bandit_bonus,
            epsilon=self.bandit_epsilon,
        )
        late = 2**62  # steps: behind every schedule
        epsilon = [self.agent.epsilon.at(Exploration(b, n_envs, late)) for b in places]
        self._quiet = np.array(epsilon) <= np.median(epsilon)
        self._tell()

    def choose_arms(self, samples: Samples) -> None:
        """Feed the bandits with the returns of the episodes that ended."""
        self.bandits.observe(samples, samples.agent_info.arm.numpy())
        self._tell()

    def _tell(self) -> None:
        self.agent.play_next(self._first, self.bandits.next_arm.tolist())
        self.agent.evaluation_arm.fill_(self.bandits.best(self._quiet))

    def losses(self, batch: ReplaySequences) -> QLosses:
        """As :func:`agent57_losses`, each stream with its own targets."""
        run = self.unrolled(batch)
        steps, online, target = run.steps, run.online, run.target
        assert online.intrinsic is not None
        assert target.intrinsic is not None
        with torch.no_grad():
            target_e, target_i = (
                retrace_target(
                    values,
                    run.greedy,
                    steps,
                    reward,
                    run.discount,
                    retrace_lambda=self.retrace_lambda,
                    eps=self.agent.value_scale_eps,
                )
                for values, reward in (
                    (target.extrinsic, steps.reward),
                    (target.intrinsic, steps.intrinsic),
                )
            )
        length = len(batch.action)
        return agent57_losses(
            online.extrinsic[:length],
            online.intrinsic[:length],
            batch.action,
            target_e,
            target_i,
            self.agent.weights[steps.arm],
            batch.valid,
            priority_eta=self.replay.priority_eta,
        )

    def arm_state(self) -> dict[str, Any]:
        """The bandits."""
        return self.bandits.state_dict()

    def load_arm_state(self, state: dict[str, Any]) -> None:
        """Continue."""
        self.bandits.load_state_dict(state)
        self._tell()
