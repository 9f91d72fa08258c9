"""The contract of an intrinsic reward: transitions in, one number for each out.

    reward = RND.from_spaces(observation_space, action_space, n_envs=8, seed=0)
    intrinsic = reward.compute(samples)      # [T, B], before it is added to anything
    losses = reward.update(samples)          # learn from the same transitions

It is a module of its own on the learner's side: it knows no agent, no algorithm, no runner.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from types import MappingProxyType
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar, final

import torch
from torch import Tensor, nn

from rlpyt.rewards.checks import TransitionLayout, check_numbers
from rlpyt.rewards.normalize import ObservationStatistics, RewardScale
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.buffer import buffer_to
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

__all__ = ["OF_THE_RUN", "IntrinsicReward", "for_spaces"]

OF_THE_RUN: Mapping[str, str] = MappingProxyType({"n_envs": "sampler.batch_B", "seed": "seed"})
"""Arguments of every ``from_spaces`` that are no options of a reward, and where a run has them."""

_Options = ParamSpec("_Options")


class IntrinsicReward(nn.Module, ABC):
    """Novelty of transitions.

    ``state_dict()`` is everything: parameters, statistics, memories, optimizer, generators. After
    ``load_state_dict`` it goes on to the last bit as if nothing had happened.

    Args:
        observation_statistics: Normalises observations first; ``None``: as they are.
        reward_scale: Normalises rewards last.
    """

    # Whether a reward depends on what came before it in its episode: then ``compute`` wants every
    # batch once, in order, of the same ``n_envs`` environments, and not those of a replay.
    episodic: ClassVar[bool] = False
    # The fewest steps of a batch that it has rewards of.
    min_batch_T: ClassVar[int] = 1

    def __init__(
        self, *, observation_statistics: ObservationStatistics | None, reward_scale: RewardScale
    ) -> None:
        super().__init__()
        self.observation_statistics = observation_statistics
        self.reward_scale = reward_scale
        self.world = World()
        self.layout = TransitionLayout()  # of anything, until the spaces are known

    @classmethod
    @abstractmethod
    def from_spaces(cls, *args: Any, **kwargs: Any) -> Self:
        """``from_spaces(observation_space, action_space, *, n_envs, seed, <the reward's own
        keyword arguments>)``: build for these spaces, and for batches of ``n_envs`` environments.
        Decorated by :func:`for_spaces`.
        """

    @abstractmethod
    def novelty(self, samples: RewardSamples) -> Tensor:
        """The reward as its equation gives it, [T, B] float32, not scaled; episodic memories
        advance. Called by :meth:`compute`, without gradients, on this module's device.
        """

    @abstractmethod
    def learn(self, samples: RewardSamples) -> dict[str, float]:
        """Lower the losses on transitions [T, B], and return them; called by :meth:`update`."""

    @final
    @torch.no_grad()
    def compute(self, samples: RewardSamples) -> Tensor:
        """Intrinsic rewards of transitions [T, B], float32 [T, B], finite, without weight; 0 where
        not ``valid``.

        Statistics take the transitions in before they are used, episodic memories advance: give
        each batch once.

        Raises:
            RlpytError: where the leaves are not [T, B, ...] of the spaces that it was built for,
                or hold numbers that are not finite or indices out of range; nothing is changed
                then.
        """
        self._check(samples, with_numbers=True)
        here: RewardSamples = buffer_to(samples, self.device)
        self.observe(here)
        reward: Tensor = self.reward_scale(self.novelty(here), here.valid, self.world)
        return reward.to(samples.terminated.device)

    @final
    def update(self, samples: RewardSamples) -> dict[str, float]:
        """Learn from transitions [T, B]; the mean losses by lowerCamelCase name, nothing where
        nothing is learned.

        Raises:
            RlpytError: as :meth:`compute`, but for the numbers: those that are not finite show in
                the gradient, ``diverged``.
        """
        self._check(samples, with_numbers=False)
        return self.learn(samples)

    def _check(self, samples: RewardSamples, *, with_numbers: bool) -> None:
        name = type(self).__name__
        try:
            self.layout.check(samples)
            if with_numbers:
                self.layout.check_numbers(samples)
        except RlpytError as error:
            raise error.altered(where=name) from None
        self.check_steps(len(samples.terminated))

    @final
    @classmethod
    def check_steps(cls, batch_T: int) -> None:
        """Refuse batches of so few steps that it has no rewards of them.

        Raises:
            RlpytError: ``config``.
        """
        if batch_T < cls.min_batch_T:
            what = f"a batch of T={batch_T}: rewards compare the steps of a batch with each other"
            hint = f"give T={cls.min_batch_T} or more, better 32: set sampler.batch_T=32, also "
            hint += "where an algorithm learns from a replay"
            raise RlpytError("config", what, where=cls.__name__, hint=hint)

    @final
    def observe(self, samples: RewardSamples) -> None:
        """Take the next observations [T, B, ...] into the statistics; a part of :meth:`compute`."""
        if self.observation_statistics is not None:
            self.observation_statistics.update(samples.next_observation, samples.valid, self.world)

    @final
    def normalized_batch(self, batch: RewardSamples) -> RewardSamples:
        """A minibatch [N, ...] with both observations as networks take them."""
        return batch._replace(
            observation=self.normalized(batch.observation),
            next_observation=self.normalized(batch.next_observation),
        )

    @final
    def normalized(self, observation: Any) -> Any:
        """The observation tree as networks take it."""
        if self.observation_statistics is None:
            return observation
        return self.observation_statistics(observation)

    @final
    def join(self, world: World) -> None:
        """Learn together with the same module in the other processes of ``world``."""
        for module in self.modules():
            if isinstance(module, IntrinsicReward):
                module.world = world
        for parameter in self.parameters():
            world.broadcast_(parameter.detach())

    @property
    @final
    def device(self) -> torch.device:
        """Where it computes."""
        return self.reward_scale.open_return.device


_Reward = TypeVar("_Reward", bound=IntrinsicReward)
_Build = Callable[Concatenate[type[_Reward], _Options], _Reward]


def for_spaces(build: _Build[_Reward, _Options]) -> _Build[_Reward, _Options]:
    """Decorates ``from_spaces``: what it builds refuses transitions of other spaces, and an error
    of a part names the reward as its place.

    Raises:
        RlpytError: from the call, also for ``n_envs`` below 1.
    """
    takes = signature(build)

    @wraps(build)
    def built(cls: type[_Reward], /, *args: _Options.args, **kwargs: _Options.kwargs) -> _Reward:
        given = takes.bind(cls, *args, **kwargs).arguments
        try:
            check_numbers(1, n_envs=given["n_envs"])
            reward = build(cls, *args, **kwargs)
        except RlpytError as error:
            places = (cls.__name__, error.where)
            raise error.altered(where=", ".join(place for place in places if place)) from None
        reward.layout = TransitionLayout(given["observation_space"], given["action_space"])
        return reward

    return built
