"""BYOL-Explore (Guo et al. 2022, arXiv:2206.08332).

A recurrent model of the world predicts what the next observations will be like, in the eyes of a
slow copy of its own encoder: what it cannot foresee is worth seeing. One loss teaches encoder,
memory and predictions alike.

Differs from the paper: it has an encoder of its own, which the policy does not share; rewards below
their mean are not cut off (its reward prioritisation), and their scale is an option.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar, NamedTuple, Self, final

import torch
from gymnasium import Space
from torch import Tensor
from torch.nn import functional

from rlpyt.models.encoder import ImageTrunk
from rlpyt.rewards.actions import ActionCode
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.features import FeatureNetwork, FeatureOptions, frozen, in_chunks
from rlpyt.rewards.latent_world import LatentWorld, WorldState
from rlpyt.rewards.learner import LearnerOptions, RewardLearner, mean_report
from rlpyt.rewards.normalize import (
    ObservationStatistics,
    RewardNorm,
    RewardScale,
    observation_scaling,
)
from rlpyt.rewards.samples import RewardSamples, check_columns
from rlpyt.utils.buffer import buffer_to
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int, seeded_init

__all__ = ["BYOLExplore", "ByolLoss"]


class ByolLoss(NamedTuple):
    """The loss, a mean over predictions."""

    loss: Tensor


@final
class BYOLExplore(IntrinsicReward):
    """r_t = Σ_k ‖p̂_{t,k} - ô_{t+1}‖₂², k = 1, ..., K (eq. 3 and 4).

    p_{t,k} is what was predicted of observation t+1 by k steps of the model, from all that the
    episode had shown up to step t+1-k and the actions taken since; o_{t+1} is the target encoder's
    view of it, and ^ scales to length 1. Near the start of an episode there are fewer terms. The
    model follows every environment from batch to batch. Build it with :meth:`from_spaces`.

    Args:
        observation_statistics: Normalises observations.
        reward_scale: Scales rewards.
        model: Encoder, memory and predictions.
        learner: Trains it.
        n_envs: Environments of a batch.
        horizon: K.
        target_decay: α: of the target encoder's parameters θ⁻ ← α θ⁻ + (1 - α) θ.
    """

    episodic: ClassVar[bool] = True
    now_is_new: Tensor

    def __init__(
        self,
        *,
        observation_statistics: ObservationStatistics | None,
        reward_scale: RewardScale,
        model: LatentWorld,
        learner: RewardLearner,
        n_envs: int,
        horizon: int,
        target_decay: float,
    ) -> None:
        super().__init__(observation_statistics=observation_statistics, reward_scale=reward_scale)
        if min(horizon, n_envs) < 1:
            what = f"horizon={horizon}, n_envs={n_envs}"
            raise RlpytError("config", what, hint="use 1 or more for each")
        if not 0.0 <= target_decay <= 1.0:
            hint = "use 0 or more, and 1 at most"
            raise RlpytError("config", f"target_decay={target_decay}", hint=hint)
        self.model = model
        self.target = frozen(deepcopy(model.encoder))
        self.learner = learner
        self.target_decay = target_decay
        for name, tensor in model.initial_state(n_envs, horizon).items():
            self.register_buffer(f"now_{name}", tensor)  # behind the last batch
            self.register_buffer(f"before_{name}", tensor.clone())  # where that batch began

    @classmethod
    @for_spaces
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_envs: int,
        seed: int,
        horizon: int = 8,
        target_decay: float = 0.99,
        feature_size: int = 128,
        memory_size: int = 128,
        hidden_sizes: Sequence[int] = (256,),
        model_sizes: Sequence[int] = (256,),
        image: ImageTrunk = "auto",
        normalize_observation: bool = False,
        reward_norm: RewardNorm = "rms",
        return_discount: float | None = None,
        learning_rate: float = 1e-4,
        batch_size: int = 1024,
        epochs: int = 1,
        clip_grad_norm: float | None = None,
    ) -> Self:
        """Build for these spaces.

        Args:
            observation_space: What is observed.
            action_space: Box, Discrete, MultiDiscrete or MultiBinary.
            n_envs: Environments of a batch.
            seed: Of the networks.
            horizon: K, how many steps ahead is predicted.
            target_decay: α of the target encoder.
            feature_size: Length of an encoded observation.
            memory_size: Length of the recurrent states.
            hidden_sizes: Hidden layers of the encoder.
            model_sizes: Hidden layers of the predictor.
            image: How images are encoded.
            normalize_observation: By running statistics, clipped to ±5.
            reward_norm: How rewards are scaled.
            return_discount: γ of the return whose deviation scales them; ``None``: their own.
            learning_rate: Of Adam.
            batch_size: Transitions of one gradient step, in whole environments.
            epochs: Passes over each batch.
            clip_grad_norm: Bound on the gradient's norm.
        """
        statistics, space = observation_scaling(observation_space, normalize_observation)
        with seeded_init(seed_int(seed, Stream.REWARD)):
            options = FeatureOptions(feature_size, hidden_sizes, image)
            encoder = FeatureNetwork.from_space(space, options)
            model = LatentWorld(encoder, ActionCode(action_space), memory_size, model_sizes)
        learning = LearnerOptions(learning_rate, batch_size, epochs, 1.0, clip_grad_norm)
        return cls(
            observation_statistics=statistics,
            reward_scale=RewardScale(reward_norm, discount=return_discount, n_envs=n_envs),
            model=model,
            learner=RewardLearner(model, options=learning, seed=seed),
            n_envs=n_envs,
            horizon=horizon,
            target_decay=target_decay,
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """r, [T, B]; the model's state goes on."""
        state = self._state("now")
        check_columns("BYOLExplore", len(state.is_new), samples.terminated.shape[1])
        error, _is_foreseen, following = self._errors(samples, state)
        for name, tensor in state.items():
            self.get_buffer(f"before_{name}").copy_(tensor)
        for name, tensor in following.items():
            self.get_buffer(f"now_{name}").copy_(tensor)
        return error.sum(-1)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Foresee the batch that rewards were last computed of better, some environments at a time;
        the target encoder follows.
        """
        T, B = samples.terminated.shape
        check_columns("BYOLExplore", len(self.now_is_new), B)
        here: RewardSamples = buffer_to(samples, self.device)
        before, reports = self._state("before"), []
        size = max(1, self.learner.options.batch_size // T)
        for _epoch in range(self.learner.options.epochs):
            for first in range(0, B, size):
                some = slice(first, first + size)
                error, is_foreseen, _state = self._errors(here[:, some], before[some])
                loss = ByolLoss(error.sum() / is_foreseen.sum().clamp(min=1))
                reports.append(self.learner.step(loss, self.world, is_foreseen))
                self._follow()
        return mean_report(reports)

    def _errors(
        self, samples: RewardSamples, state: WorldState
    ) -> tuple[Tensor, Tensor, WorldState]:
        """Each term of r, [T, B, K], 0 where there is none; where there is one; the state after."""
        batch = samples._replace(observation=self.normalized(samples.observation))
        prediction, is_foreseen, following = self.model(batch, state)
        with torch.no_grad():
            target = in_chunks(self._target, samples.next_observation)
        distance = functional.normalize(prediction, dim=-1) - target.unsqueeze(-2)
        error = distance.square().sum(-1).masked_fill(~is_foreseen, 0.0)
        return error, is_foreseen, following

    def _target(self, observation: Any) -> Tensor:
        return functional.normalize(self.target(self.normalized(observation)), dim=-1)

    @torch.no_grad()
    def _follow(self) -> None:
        pairs = zip(self.target.parameters(), self.model.encoder.parameters(), strict=True)
        for slow, fast in pairs:
            slow.lerp_(fast, 1.0 - self.target_decay)

    def _state(self, when: str) -> WorldState:
        """The state ``now`` or ``before``; a copy."""
        names = WorldState._fields
        return WorldState(*(self.get_buffer(f"{when}_{name}").clone() for name in names))
