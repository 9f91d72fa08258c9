"""One image encoder for the policy and its critics, which only the critics' loss trains."""

from typing import final

import torch
from torch import nn

from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.qpg.batch import QpgBatch, Steps
from rlpyt.models.critic import CriticModel
from rlpyt.models.encoder import Encoder
from rlpyt.models.trunk import Encoded
from rlpyt.utils.errors import RlpytError

__all__ = ["SharedEncoder"]


@final
class SharedEncoder:
    """Makes the agent's encoder that of ``critic``, and encodes batches by it once.

    Losses then find features where observations were. Only the critics' loss has a gradient
    through them, and only at the steps that are learned: policies, target networks and targets
    take them as they are, so that there is no second, slower encoder. Without ``is_shared`` every
    network has its own, and batches stay what they are.
    """

    def __init__(self, agent: QpgAgent, critic: CriticModel, *, is_shared: bool) -> None:
        """Before parameters are moved or copied.

        Raises:
            RlpytError: where there is nothing to share, or the encoders are not of one kind.
        """
        self._agent = agent
        self._trunk = critic.trunk
        self.encoder: Encoder | None = None
        if is_shared:
            self.encoder = critic.trunk.encoder = _common(agent.model.trunk.encoder, critic)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those of the encoder, which the policy must not learn; none where it is not shared."""
        return [] if self.encoder is None else list(self.encoder.parameters())

    def for_critics(self, batch: QpgBatch) -> QpgBatch:
        """Features in place of observations, with gradient where the steps are learned."""
        if self.encoder is None:
            return batch
        now = self._encoded(batch.now)
        with torch.no_grad():
            following = self._encoded(batch.following)
        return batch._replace(now=now, following=following)

    def for_policy(self, batch: QpgBatch) -> QpgBatch:
        """The same without gradient; what follows stays observations, which no policy's loss asks
        for.
        """
        if self.encoder is None:
            return batch
        with torch.no_grad():
            return batch._replace(now=self._encoded(batch.now))

    def _encoded(self, steps: Steps) -> Steps:
        observation = steps.inputs.observation
        features = self._trunk.encode(observation)
        encoded = Encoded(features, self._agent.mask(observation))
        return steps._replace(inputs=steps.inputs._replace(observation=encoded))


def _common(encoder: Encoder, critic: CriticModel) -> Encoder:
    """``encoder``, where it can stand for that of ``critic``."""
    if next(encoder.parameters(), None) is None:
        what = "algo.shared_encoder=True, and the observation has no image to encode"
        raise RlpytError("config", what, hint="use algo.shared_encoder=false")
    if _shapes(encoder) != _shapes(critic.trunk.encoder):
        what = "algo.shared_encoder=True with two kinds of encoder"
        hint = "set agent.model_kwargs.image and algo.critic_kwargs.image alike, layer_norm too"
        raise RlpytError("config", what, hint=hint)
    return encoder


def _shapes(module: nn.Module) -> list[tuple[str, torch.Size]]:
    return [(name, value.shape) for name, value in module.state_dict().items()]
