"""Twin Delayed Deep Deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477)."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.algos.qpg.ddpg import PolicyInfo, deterministic_policy_loss
from rlpyt.algos.target import update_target
from rlpyt.models.policy import PolicyKind
from rlpyt.replays.batches import ReplaySamples

__all__ = ["TD3"]


@final
@dataclass(kw_only=True)
class TD3(QpgAlgorithm):
    """DDPG with the smaller of two critics, smoothed target actions, and a policy that waits."""

    policy: ClassVar[PolicyKind] = "deterministic"

    policy_delay: int = 2  # d
    target_noise_std: float = 0.2  # σ, in half-widths of the action's bounds
    target_noise_clip: float = 0.5  # c

    def prepare(self) -> dict[str, Any]:
        """The target network of the policy."""
        self.target_model = deepcopy(self.agent.model).requires_grad_(False)
        return {"target_model": self.target_model}

    def target_value(self, batch: ReplaySamples, noise: Tensor) -> Tensor:
        """min_i Q⁻_i(s', μ⁻(s') + ε), ε = clip(σ noise, -c, c), [N]: algorithm 1."""
        inputs, clip = batch.next_inputs, self.target_noise_clip
        epsilon = (self.target_noise_std * noise).clamp(-clip, clip)
        action = self.agent.mean_action(inputs, self.no_state, epsilon, model=self.target_model)
        return self.target_q(inputs, action).amin(0)

    def policy_loss(self, batch: ReplaySamples, noise: Tensor) -> tuple[Tensor, PolicyInfo]:
        """As :func:`rlpyt.algos.qpg.ddpg.deterministic_policy_loss`."""
        action = self.agent.mean_action(batch.agent_inputs, self.no_state)
        loss = deterministic_policy_loss(self.q(batch, action))
        return loss, PolicyInfo(loss.detach())

    def follow(self, report: PolicyInfo) -> None:
        """The target network of the policy follows it."""
        update_target(self.target_model, self.agent.model, self.target_update_tau)
