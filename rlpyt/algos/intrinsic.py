"""What an algorithm learns from besides the environment's reward, or instead of it."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from rlpyt.data import BatchSpec, EnvSpaces, OptInfo, Samples
from rlpyt.replays.batches import ReplaySamples
from rlpyt.rewards.base import OF_THE_RUN, IntrinsicReward
from rlpyt.rewards.rnd import RND
from rlpyt.rewards.samples import RewardSamples, samples_of
from rlpyt.rewards.weight import RewardWeight
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.convert import convert
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.mismatch import mismatch
from rlpyt.utils.world import World

__all__ = ["IntrinsicRewards"]

_TOLD = 200  # characters of torch's error


@final
@dataclass(kw_only=True)
class IntrinsicRewards:
    """Intrinsic rewards for any algorithm: what is learned from is

        r = w r_extrinsic + β_n r_intrinsic

    ``RewardCls.from_spaces(observation_space, action_space, n_envs=..., seed=...,
    **reward_kwargs)`` builds the module. It is given every batch once, first to
    ``compute``, then to ``update``: on policy the sampler's, off policy those of the replay, so
    that what was new once does not stay so. Off policy a reward that is ``episodic``, and one of
    sequences or n-step returns, cannot be told from a transition alone: the sampler's batches
    decide it then, and the replay keeps the sum beside the environment's reward, which is what a
    network is told of the step before. Where a transition of a replay terminated it has none.

    With a ``discount`` of its own it has a value of its own, of returns that go on through the ends
    of episodes (Burda et al. 2018, arXiv:1810.12894, section 2.3): on policy, with a model that has
    ``intrinsic_value``. Advantages are then w A_extrinsic + β_n A_intrinsic.
    """

    RewardCls: type[IntrinsicReward] = RND
    reward_kwargs: dict[str, Any] = field(default_factory=dict)
    weight: RewardWeight = field(default_factory=RewardWeight)  # β_n
    extrinsic_weight: float = 1.0  # w; 0: the environment's reward does not count
    discount: float | None = None  # γ of intrinsic returns; None: one value, of the sum

    def initialize(
        self,
        spaces: EnvSpaces,
        batch_spec: BatchSpec,
        *,
        seed: int,
        device: torch.device,
        world: World,
        from_replay: bool = False,
        two_values: bool = False,
    ) -> None:
        """Build the module for a sampler's batches; ``from_replay``: for transitions of a replay.
        ``two_values``: the algorithm can learn a value of intrinsic returns.

        Raises:
            RlpytError: ``config``, for a setting out of range or unknown.
        """
        self._check(two_values)
        self.at_sampling = self.decided_at_sampling(from_replay)
        self.RewardCls.check_steps(1 if self.at_sampling else batch_spec.T)
        build, place = self.RewardCls.from_spaces, "algo.intrinsic.reward_kwargs"
        kwargs = checked_arguments(build, self.reward_kwargs, place, positional=2, given=OF_THE_RUN)
        known: Mapping[str, Any] = inspect.signature(build).parameters
        if self.at_sampling and "return_discount" in known:
            self._check_of_transitions(kwargs)
            kwargs = {"return_discount": None, **kwargs}  # transitions are of no one trajectory
        if self.at_sampling and "capacity" in known:
            kwargs = {"capacity": 0, **kwargs}  # drawn again, a state would find itself
        kwargs = {"n_envs": batch_spec.B, "seed": seed, **kwargs}
        module = build(spaces.observation, spaces.action, **kwargs)
        self.module: IntrinsicReward = module.to(device)
        self.module.join(world)
        self._steps_per_itr = batch_spec.size * world.size
        self._steps = 0
        self._reports: list[dict[str, float]] = []

    def decided_at_sampling(self, from_replay: bool) -> bool:
        """Whether transitions that a replay hands out tell it; else the sampler's batches do."""
        return from_replay and not self.RewardCls.episodic

    def _check(self, two_values: bool) -> None:
        convert(self.RewardCls, type[IntrinsicReward], "algo.intrinsic.RewardCls")
        if not isinstance(self.weight, RewardWeight):
            raise mismatch(self.weight, RewardWeight, "algo.intrinsic.weight")
        if self.discount is not None and not two_values:
            hint = "PPO and A2C can have two values; leave it out: then one is of the sum"
            what = f"algo.intrinsic.discount={self.discount}: this algorithm has one value"
            raise RlpytError("config", what, hint=hint)
        if self.discount is not None and not 0.0 <= self.discount < 1.0:
            what = f"algo.intrinsic.discount={self.discount}"
            raise RlpytError("config", what, hint="use 0 or more, and less than 1, or None")
        if not 0.0 <= self.extrinsic_weight < float("inf"):
            what = f"algo.intrinsic.extrinsic_weight={self.extrinsic_weight}"
            raise RlpytError("config", what, hint="use 0 or more, and a finite number")

    def _check_of_transitions(self, kwargs: Mapping[str, Any]) -> None:
        chosen = kwargs.get("return_discount")
        if chosen is not None:
            what = f"algo.intrinsic.reward_kwargs.return_discount={chosen}"
            hint = "leave it out: transitions of a replay are of no one trajectory, with no return"
            raise RlpytError("config", what, hint=hint)

    def begin(self, itr: int) -> None:
        """Iteration ``itr`` begins: the weight is that of the steps taken before."""
        self._steps = itr * self._steps_per_itr
        self._reports = []

    def bonus(self, samples: RewardSamples) -> Tensor:
        """β_n r_intrinsic of transitions [T, B], float32 [T, B]; the module learns from them."""
        reward = self.module.compute(samples)
        valid = samples.valid
        mean = reward.mean() if valid is None else reward.sum() / valid.sum().clamp(min=1)
        losses = self.module.update(samples)
        named = {f"intrinsic{name[0].upper()}{name[1:]}": loss for name, loss in losses.items()}
        self._reports.append({"intrinsicReward": mean.item(), **named})
        return self.weight(self._steps) * reward

    def added(self, samples: Samples, reward: Tensor) -> Tensor:
        """``reward`` [T, B] of a sampler's batch, weighted, with its bonus."""
        return self.extrinsic_weight * reward + self.bonus(samples_of(samples))

    def added_to(self, batch: ReplaySamples) -> ReplaySamples:
        """The same for transitions [N, ...] of one step each."""
        reward = self.bonus(_transitions(batch)).squeeze(0)
        return batch._replace(return_=self.extrinsic_weight * batch.return_ + reward)

    def report(self) -> OptInfo:
        """The iteration's rewards, without weight, and losses, one of each batch."""
        names = self._reports[0] if self._reports else {}
        return {name: [report[name] for report in self._reports] for name in names}

    def state_dict(self) -> dict[str, Any]:
        """The module's everything."""
        return self.module.state_dict()

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Continue from ``state``.

        Raises:
            RlpytError: ``checkpoint``, where it is that of another reward, or of none.
        """
        place, kind = "algo.intrinsic", self.RewardCls.__name__
        hint = "resume with the run's own algo.intrinsic, or start another run"
        if state is None:
            what = f"the checkpoint holds no intrinsic reward, for {kind}"
            raise RlpytError("checkpoint", what, where=place, hint=hint)
        try:
            self.module.load_state_dict(state)
        except (KeyError, RuntimeError) as error:
            told = " ".join(str(error).split())[:_TOLD]
            what = f"the checkpoint's intrinsic reward is not this {kind}: {told}"
            raise RlpytError("checkpoint", what, where=place, hint=hint) from error


def _transitions(batch: ReplaySamples) -> RewardSamples:
    """N transitions of one step, as one row: [1, N, ...]; those that terminated are not valid."""
    terminated = batch.next_discount == 0
    found = RewardSamples(
        observation=batch.observation,
        action=batch.action,
        next_observation=batch.next_observation,
        terminated=terminated,
        truncated=torch.zeros_like(terminated),
        valid=~terminated,  # replays do not keep what came then
    )
    row: RewardSamples = buffer_map(lambda leaf: leaf.unsqueeze(0), found)
    return row
