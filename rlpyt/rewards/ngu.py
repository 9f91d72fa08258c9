"""Never Give Up: what is new in the episode, more of it where it is new at all (Badia et al. 2020,
arXiv:2002.06038).

Differs from the paper: running statistics of the error are of all environments; rewards are scaled
by their running deviation unless told otherwise.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, final

import torch
from gymnasium import Space
from torch import Tensor

from rlpyt.models.normalize import RunningMeanStd
from rlpyt.rewards.base import OF_THE_RUN, IntrinsicReward, for_spaces
from rlpyt.rewards.normalize import RewardNorm, RewardScale
from rlpyt.rewards.pseudo_counts import PseudoCounts
from rlpyt.rewards.rnd import RND
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

__all__ = ["NGU", "modulated_reward"]


def modulated_reward(
    episodic: Tensor, error: Tensor, mean: Tensor, std: Tensor, max_scale: float
) -> Tensor:
    """Reward r = r_ep · min(max(α, 1), L), α = 1 + (e - μ) / σ (eq. 1); α = 1 while σ is 0.

    Args:
        episodic: r_ep, [...].
        error: e, the distillation error, [...].
        mean: μ of the errors so far, [].
        std: σ of the errors so far, [].
        max_scale: L.
    """
    spread = torch.where(std > 0, std, torch.inf)
    alpha = 1.0 + (error - mean) / spread
    return episodic * alpha.clamp(1.0, max_scale)


@final
class NGU(IntrinsicReward):
    """r = r_ep · clip(1 + (e - μ) / σ, 1, L): :class:`PseudoCounts` times what :class:`RND` finds
    unusual.

    Neither part's own scale or weight is applied. Build it with :meth:`from_spaces`.

    Args:
        reward_scale: Scales rewards.
        in_episode: Gives r_ep.
        lifelong: Gives e.
        max_scale: L.
    """

    episodic: ClassVar[bool] = True

    def __init__(
        self,
        *,
        reward_scale: RewardScale,
        in_episode: PseudoCounts,
        lifelong: RND,
        max_scale: float,
    ) -> None:
        super().__init__(observation_statistics=None, reward_scale=reward_scale)
        if not max_scale >= 1.0:
            raise RlpytError("config", f"max_scale={max_scale}", hint="use 1 or more")
        self.in_episode = in_episode
        self.lifelong = lifelong
        self.max_scale = max_scale
        self.error_statistics = RunningMeanStd(())

    @classmethod
    @for_spaces
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_envs: int,
        seed: int,
        max_scale: float = 5.0,
        episodic_kwargs: Mapping[str, Any] | None = None,
        lifelong_kwargs: Mapping[str, Any] | None = None,
        reward_norm: RewardNorm = "rms",
    ) -> Self:
        """Build for these spaces.

        Args:
            observation_space: What is observed.
            action_space: Box, Discrete, MultiDiscrete or MultiBinary.
            n_envs: Environments of a batch.
            seed: Of the networks and of the order of minibatches.
            max_scale: L, the most that an unusual state multiplies by.
            episodic_kwargs: Keyword arguments of :meth:`PseudoCounts.from_spaces`.
            lifelong_kwargs: Keyword arguments of :meth:`RND.from_spaces`.
            reward_norm: How rewards are scaled.

        Raises:
            RlpytError: for a space that cannot be encoded, or an option that is unknown or out of
                range.
        """
        in_episode = checked_arguments(
            PseudoCounts.from_spaces,
            episodic_kwargs or {},
            "episodic_kwargs",
            positional=2,
            given=OF_THE_RUN,
        )
        lifelong = checked_arguments(
            RND.from_spaces,
            {"learning_rate": 5e-4, **(lifelong_kwargs or {})},
            "lifelong_kwargs",
            positional=2,
            given=OF_THE_RUN,
        )
        spaces = (observation_space, action_space)
        seeds = [seed_int(seed, Stream.REWARD, key) for key in (2, 3)]
        return cls(
            reward_scale=RewardScale(reward_norm),
            in_episode=PseudoCounts.from_spaces(
                *spaces, n_envs=n_envs, seed=seeds[0], **in_episode
            ),
            lifelong=RND.from_spaces(*spaces, n_envs=n_envs, seed=seeds[1], **lifelong),
            max_scale=max_scale,
        )

    def novelty(self, samples: RewardSamples) -> Tensor:
        """r_ep · clip(α, 1, L), [T, B]; the episodes go on, and the statistics of e."""
        episodic = self.in_episode.novelty(samples)
        self.lifelong.observe(samples)
        error = self.lifelong.novelty(samples)
        self.error_statistics.update(error, samples.valid, self.world)
        mean, std = self.error_statistics.mean, self.error_statistics.var.sqrt()
        return modulated_reward(episodic, error, mean.to(error), std.to(error), self.max_scale)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Both parts learn; what they report, as ``episodicLoss``, ``lifelongLoss`` and so on."""
        parts = {"episodic": self.in_episode, "lifelong": self.lifelong}
        return {
            f"{prefix}{name[0].upper()}{name[1:]}": value
            for prefix, part in parts.items()
            for name, value in part.update(samples).items()
        }
