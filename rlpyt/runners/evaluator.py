"""Offline evaluation: the agent as it is, in environments of its own, a fixed number of episodes in
each.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

from rlpyt.agents.base import Agent
from rlpyt.data import TrajInfo
from rlpyt.envs.build import EnvConfig
from rlpyt.samplers.base import BaseSampler, CollectionSpec
from rlpyt.samplers.collector import BatchCollector
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream

__all__ = ["Evaluator"]

_CHUNK_STEPS = 32  # steps between two looks at who has finished
_EPISODE_NUMBERS = 1_000_000  # episode numbers kept apart for each evaluation


@final
@dataclass(kw_only=True)
class Evaluator:
    """Runs ``episodes`` episodes spread evenly over ``n_envs`` environments.

    The number of episodes is fixed *per environment*: taking whichever finish first would favour
    short ones. Environments and actions draw from streams that training never uses, new ones for
    each ``round``.
    """

    episodes: int = 10
    n_envs: int = 10
    greedy: bool = True  # take the mode; False: sample
    max_tries: int = 3  # where environments raise; then the evaluation is left out
    max_steps: int = 1_000_000  # over all environments; what is unfinished by then is left out
    env: EnvConfig | str | Callable[..., Any] | None = None  # None: as in training
    _collector: BatchCollector | None = field(init=False, repr=False, compare=False, default=None)
    _sampler: BaseSampler | None = field(init=False, repr=False, compare=False, default=None)

    def initialize(self, agent: Agent, sampler: BaseSampler, *, seed: int, discount: float) -> None:
        """Make the environments, on the sampler's processes: of the sampler's kind, where the
        evaluator has none of its own.

        Raises:
            RlpytError: for numbers below 1, and what the environments raise.
        """
        for name in ("episodes", "n_envs", "max_steps", "max_tries"):
            if getattr(self, name) < 1:
                what = f"evaluator.{name}={getattr(self, name)}"
                raise RlpytError("config", what, hint="use 1 or more")
        config = EnvConfig.of(sampler.env if self.env is None else self.env)
        if self.env is None:
            config = config.for_evaluation()
        self._B = min(self.n_envs, self.episodes)
        spec = CollectionSpec(
            env=config,
            env_indices=tuple(range(self._B)),
            T=_CHUNK_STEPS,
            seed=seed,
            total_envs=self._B,
            env_stream=Stream.EVAL_ENV,
            action_stream=Stream.EVAL_ACTION,
            greedy=self.greedy,
            group_size=sampler.group_size,
            traj_info=sampler.TrajInfoCls(discount=discount),
            # What is reported is the task's own return, where the evaluator has no other task.
            score_key=config.score_key if self.env is None else None,
        )
        self._sampler = sampler
        self._open = partial(sampler.open, spec, agent)
        self._collector = self._open()

    def evaluate(self, round: int) -> list[TrajInfo]:
        """The episodes of one evaluation; ``round`` (the iteration, say) chooses the seeds.

        Where an environment raises, all are made anew, and other seeds chosen. After ``max_tries``
        there is a warning, and no episode: training can go on.

        Warns of episodes that ``max_steps`` has cut short: they are not returned.

        Raises:
            RlpytError: where a process that training needs is lost.
        """
        for tries in range(self.max_tries):
            try:
                return self._episodes(round, tries)
            except RlpytError as error:
                if error.code != "env":
                    raise
                failure = error
                if self._sampler is not None:
                    failed, self._collector = self._collector, None
                    self._sampler.give_up(failed)
        message = (
            f"the evaluation is left out, it has failed {self.max_tries} times: {failure.what} "
            f"({failure.where}); training goes on"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return []

    def _episodes(self, round: int, tries: int) -> list[TrajInfo]:
        if self._sampler is None:
            raise RuntimeError("Evaluator: call initialize(...) first")
        if self._collector is None:
            self._collector = self._open()
        collector = self._collector
        keys = (round, tries) if tries else (round,)
        first = round * _EPISODE_NUMBERS + tries * (_EPISODE_NUMBERS // self.max_tries)
        collector.reset(first_episode=first, keys=keys)
        extra = self.episodes % self._B
        wanted = [self.episodes // self._B + (index < extra) for index in range(self._B)]
        found: list[TrajInfo] = []
        steps = 0
        while any(wanted) and steps < self.max_steps:
            _samples, finished = collector.collect()
            steps += _CHUNK_STEPS * self._B
            for traj in finished:
                if wanted[traj.env_index]:
                    wanted[traj.env_index] -= 1
                    found.append(traj)
        if any(wanted):
            message = (
                f"{sum(wanted)} of {self.episodes} evaluation episodes did not end within "
                f"evaluator.max_steps={self.max_steps:,} and are left out"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        return found

    def shutdown(self) -> None:
        """Close the environments."""
        if self._collector is not None:
            self._collector.close()
        self._collector = self._sampler = None
