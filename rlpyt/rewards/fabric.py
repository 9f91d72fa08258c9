"""Several intrinsic rewards as one: their weighted sum."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

from gymnasium import Space
from torch import Tensor, nn

from rlpyt.rewards.base import OF_THE_RUN, IntrinsicReward, for_spaces
from rlpyt.rewards.normalize import RewardNorm, RewardScale
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

__all__ = ["Fabric", "FabricPart"]


@final
@dataclass(frozen=True, kw_only=True)
class FabricPart:
    """One of the rewards in a :class:`Fabric`.

    Raises:
        RlpytError: for a weight that is not finite.
    """

    RewardCls: type[IntrinsicReward]
    reward_kwargs: Mapping[str, Any] = field(default_factory=dict)  # of its ``from_spaces``
    weight: float = 1.0  # w_i; below 0: what it finds is to be kept away from

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight):
            what = f"weight={self.weight} of {self.RewardCls.__name__}"
            raise RlpytError("config", what, where="FabricPart", hint="use a finite number")


@final
class Fabric(IntrinsicReward):
    """r = Σ_i w_i r̂_i of rewards r_i, each scaled on its own: how often a state comes in a life,
    and how often in an episode, say.

        Fabric.from_spaces(
            observation_space, action_space, n_envs=8, seed=0,
            parts=[FabricPart(RewardCls=RND), FabricPart(RewardCls=E3B, weight=0.5)],
        )

    It is episodic where one of its parts is. Build it with :meth:`from_spaces`.

    Args:
        reward_scale: Scales the sum.
        rewards: The r_i.
        weights: The w_i.

    Raises:
        RlpytError: without rewards, or with another number of weights.
    """

    episodic: ClassVar[bool] = True  # until it is known of what

    def __init__(
        self,
        *,
        reward_scale: RewardScale,
        rewards: Sequence[IntrinsicReward],
        weights: Sequence[float],
    ) -> None:
        super().__init__(observation_statistics=None, reward_scale=reward_scale)
        if not rewards or len(rewards) != len(weights):
            what = f"a Fabric of {len(rewards)} rewards and {len(weights)} weights"
            raise RlpytError("config", what, hint="give one reward or more, and a weight for each")
        self.episodic = any(  # type: ignore[misc]  # of an instance: what its parts are
            reward.episodic for reward in rewards
        )
        self.weights = tuple(weights)
        self.rewards = nn.ModuleList(rewards)
        self._rewards = list(rewards)  # with their type
        self.names = _names(rewards)

    @classmethod
    @for_spaces
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        n_envs: int,
        seed: int,
        parts: Sequence[FabricPart] | None = None,
        reward_norm: RewardNorm = "none",
        return_discount: float | None = None,
    ) -> Self:
        """Build for these spaces.

        Args:
            observation_space: What is observed.
            action_space: What is done.
            n_envs: Environments of a batch.
            seed: Of all parts; each draws from a stream of its own.
            parts: What is summed up, one or more; a Fabric has none of its own.
            reward_norm: How the sum is scaled; its parts are already, by options of their own.
            return_discount: γ of the return whose deviation scales the sum; ``None``: its own.

        Raises:
            RlpytError: without parts, or for a space or an option that a part does not take.
        """
        parts = _checked(parts)
        rewards = []
        for i, part in enumerate(parts):
            build = part.RewardCls.from_spaces
            place = f"parts[{i}].reward_kwargs"
            options = checked_arguments(
                build, part.reward_kwargs, place, positional=2, given=OF_THE_RUN
            )
            own = seed_int(seed, Stream.REWARD, 3, i)
            spaces = observation_space, action_space
            rewards.append(build(*spaces, **{"n_envs": n_envs, "seed": own, **options}))
        scale = RewardScale(reward_norm, discount=return_discount, n_envs=n_envs)
        return cls(reward_scale=scale, rewards=rewards, weights=[part.weight for part in parts])

    def novelty(self, samples: RewardSamples) -> Tensor:
        """r, [T, B]; statistics and memories of all parts advance."""
        weighted = zip(self.weights, self._rewards, strict=True)
        first, *others = (weight * reward.compute(samples) for weight, reward in weighted)
        return sum(others, start=first)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Let every part learn; what each reports, behind its name: ``rndLoss``."""
        report = {}
        for name, reward in zip(self.names, self._rewards, strict=True):
            for key, value in reward.update(samples).items():
                report[f"{name}{key[0].upper()}{key[1:]}"] = value
        return report


def _checked(parts: object) -> Sequence[FabricPart]:
    """``parts``, where they are some."""
    found = list(parts) if isinstance(parts, Sequence) else []
    if found and all(isinstance(part, FabricPart) for part in found):
        return found
    what = "there are no parts" if not parts else f"parts={parts!r} is no list of FabricPart"
    hint = (
        "parts=[FabricPart(RewardCls=RND), FabricPart(RewardCls=E3B, weight=0.5)]; on the command "
    )
    hint += """line '...reward_kwargs.parts=[{"RewardCls": "RND"}, {"RewardCls": "E3B"}]'"""
    raise RlpytError("config", what, hint=hint)


def _names(rewards: Sequence[IntrinsicReward]) -> list[str]:
    """``rnd``, ``e3b``; with a number from the second of a kind on."""
    names: list[str] = []
    for reward in rewards:
        kind = type(reward).__name__.lower()
        count = sum(type(other) is type(reward) for other in rewards[: len(names)])
        names.append(f"{kind}{count + 1}" if count else kind)
    return names
