"""The parts of a step of our SAC with its update, measured in a run of the whole loop, and what the
bare matrix products of one update take in the same process.

Every part's time is its own, without that of the parts within it, so that they add up to the step.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import Module
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from peers.halfcheetah.ours import make_runner
from peers.halfcheetah.products import measure_products
from peers.halfcheetah.settings import SacSettings
from peers.measure import Stopwatch
from peers.our_training import train_ticking
from peers.our_version import version
from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.qpg.temperature import Temperature
from rlpyt.algos.target import TargetUpdate
from rlpyt.models.critic import CriticModel
from rlpyt.models.policy import PolicyModel
from rlpyt.runners.minibatch_rl import MinibatchRl

__all__ = ["train", "version"]

Loss = Callable[..., Any]
OTHER = "loop, records, noise"


class Timers:
    """Wall and CPU seconds of each part: of the innermost one that has begun and not ended."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._open: list[str] = [OTHER]
        self._since = self._clocks()

    def begin(self, part: str) -> None:
        """From here on it is ``part``'s time."""
        self._charge()
        self._open.append(part)

    def end(self) -> None:
        """From here on it is again that of the part around the innermost one."""
        self._charge()
        self._open.pop()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, its time ``part``'s."""

        def timed_function(*args: Any, **kwargs: Any) -> Any:
            self.begin(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.end()

        return timed_function

    def zero(self) -> None:
        """Forget the times: the measurement starts."""
        self._charge()
        self.seconds.clear()

    def taken(self) -> dict[str, list[float]]:
        """Wall and CPU seconds of each part up to here."""
        self._charge()
        return {part: list(seconds) for part, seconds in self.seconds.items()}

    def _charge(self) -> None:
        now = self._clocks()
        taken = self.seconds[self._open[-1]]
        taken[0] += now[0] - self._since[0]
        taken[1] += now[1] - self._since[1]
        self._since = now

    @staticmethod
    def _clocks() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()


def train(settings: SacSettings, watch: Stopwatch) -> None:
    runner, timers = make_runner(settings), Timers()
    taken: dict[str, list[float]] = {}
    watch.on_start, watch.on_stop = timers.zero, lambda: taken.update(timers.taken())
    with ExitStack() as stack:
        attach(timers, runner, stack)
        train_ticking(runner, settings, watch)
    steps = settings.total - settings.first
    watch.details["parts"] = {
        part: [1000.0 * seconds / steps for seconds in both] for part, both in taken.items()
    }
    space = runner.agent.env_spaces
    obs_size, action_size = space.observation.shape[0], space.action.shape[0]
    watch.details["products"] = measure_products(settings, obs_size, action_size)


def attach(timers: Timers, runner: MinibatchRl, stack: ExitStack) -> None:
    """Time the parts of ``runner``, before it is initialised, until ``stack`` is closed."""
    algo, agent, sampler = runner.algo, runner.agent, runner.sampler
    current = ["temperature"]  # whose gradient step it is
    names: dict[int, str] = {}  # of the gradient steps
    initialize, take, backward = GradientStep.__init__, GradientStep.step, torch.Tensor.backward

    def timed_initialize(step: GradientStep, model: Module, loss: Loss, **kwargs: Any) -> None:
        kinds = {PolicyModel: "policy", CriticModel: "critics"}
        names[id(step)] = name = kinds.get(type(model), "temperature")
        title = f"{name}: forward{', targets' if name == 'critics' else ''}"
        initialize(step, model, timers.timed(title, loss), **kwargs)

    def timed_step(step: GradientStep, *args: Any, **options: Any) -> Any:
        current.append(names[id(step)])
        try:
            return timers.timed(f"{current[-1]}: gradient's norm", take)(step, *args, **options)
        finally:
            current.pop()

    def timed_backward(tensor: torch.Tensor, *args: Any) -> None:
        timers.timed(f"{current[-1]}: backward", backward)(tensor, *args)

    algo.replay.append = timers.timed("replay: append", algo.replay.append)
    algo.replay.sample = timers.timed("replay: draw", algo.replay.sample)
    agent.act = timers.timed("acting: policy", agent.act)
    sampler.obtain_samples = timers.timed("acting: environment, sampler", sampler.obtain_samples)
    for where, name, replacement in (
        (TargetUpdate, "step", timers.timed("target networks", TargetUpdate.step)),
        (Temperature, "step", timers.timed("temperature: gradient", Temperature.step)),
        (GradientStep, "__init__", timed_initialize),
        (GradientStep, "step", timed_step),
        (torch.Tensor, "backward", timed_backward),
    ):
        stack.enter_context(patch.object(where, name, replacement))
    for handle in (
        register_optimizer_step_pre_hook(lambda *_: timers.begin(f"{current[-1]}: optimizer")),
        register_optimizer_step_post_hook(lambda *_: timers.end()),
    ):
        stack.callback(handle.remove)
