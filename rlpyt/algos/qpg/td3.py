"""Twin Delayed Deep Deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477)."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from rlpyt.algos.qpg.ddpg import DeterministicAlgorithm
from rlpyt.data import NoState
from rlpyt.replays.batches import ReplaySamples

__all__ = ["TD3"]


@final
@dataclass(kw_only=True)
class TD3(DeterministicAlgorithm):
    """DDPG with the smaller of two critics, smoothed target actions, and a policy that waits."""

    policy_delay: int = 2  # d
    target_noise_std: float = 0.2  # σ, in half-widths of the action's bounds
    target_noise_clip: float = 0.5  # c

    def target_value(self, batch: ReplaySamples, noise: Tensor) -> Tensor:
        """min_i Q⁻_i(s', μ⁻(s') + ε), ε = clip(σ noise, -c, c), [N]: algorithm 1."""
        inputs, clip = batch.next_inputs, self.target_noise_clip
        epsilon = (self.target_noise_std * noise).clamp(-clip, clip)
        action = self.agent.mean_action(inputs, NoState(), epsilon, model=self.target_model)
        return self.target_q(inputs, action).amin(0)
