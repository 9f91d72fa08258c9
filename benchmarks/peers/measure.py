"""The stopwatch that every implementation is given, and the probe that checks what it does."""

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from peers.settings import Run, Settings

__all__ = ["Probe", "Stopwatch", "family_cpu_seconds"]


@dataclass(kw_only=True)
class Stopwatch:
    """Measures the steps between the end of the warm-up and the end of training.

    Implementations call ``tick`` with their own count of environment steps, at whole iterations:
    from a hook, or after each of two calls of ``train``. ``on_start`` and ``on_stop`` are called
    at the two moments.
    """

    settings: Run
    cpu_clock: Callable[[], float] = time.process_time
    created: float = field(default_factory=time.perf_counter)
    on_start: Callable[[], None] = lambda: None
    on_stop: Callable[[], None] = lambda: None
    started: tuple[int, float, float] | None = None
    stopped: tuple[int, float, float] | None = None
    final_return: float | None = (
        None  # mean return of recent episodes, where the library keeps it anyway
    )
    details: dict[str, Any] = field(default_factory=dict)  # what else an implementation measures

    def tick(self, steps: int) -> None:
        """Say that ``steps`` environment steps, and the updates on them, are done."""
        if self.started is None and steps >= self.settings.first:
            self.on_start()
            self.started = (steps, time.perf_counter(), self.cpu_clock())
        elif self.started is not None and self.stopped is None and steps >= self.settings.total:
            self.stopped = (steps, time.perf_counter(), self.cpu_clock())
            self.on_stop()

    def result(self) -> dict[str, Any]:
        """Steps, wall and CPU seconds of the measurement, and the length of what came before it."""
        if self.started is None or self.stopped is None:
            raise RuntimeError(f"training ended before {self.settings.total} steps: {self.started}")
        steps = self.stopped[0] - self.started[0]
        wall = self.stopped[1] - self.started[1]
        return {
            "steps": steps,
            "wall_s": wall,
            "cpu_s": self.stopped[2] - self.started[2],
            "steps_per_s": steps / wall,
            "warmup_steps": self.started[0],
            "warmup_s": self.started[1] - self.created,
            "final_return": self.final_return,
            **self.details,
        }


def family_cpu_seconds() -> float:
    """Processor time of this process, and on Linux of the living processes below it."""
    parents, ticks = {}, {}
    for listing in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the command in parentheses: state, parent; 12th and 13th, user and system ticks.
            fields = listing.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        pid = int(listing.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    below, found = 0, {os.getpid()}
    while found:
        found = {pid for pid, parent in parents.items() if parent in found}
        below += sum(ticks[pid] for pid in found)
    return time.process_time() + below / os.sysconf("SC_CLK_TCK")


@dataclass(kw_only=True)
class Probe:
    """Counts from outside what an implementation really does, in checking runs: it costs time.

    Optimizer steps and their parameters are seen by a torch hook; batch sizes by a hook on
    ``nn.Linear`` while gradients are on; environment steps by wrapping the ``step`` of both
    CartPole classes.
    """

    updates: int = 0
    env_steps: int = 0
    resets: int = 0
    rows: Counter[int] = field(default_factory=Counter)
    groups: dict[str, Any] = field(default_factory=dict)

    def attach(self, *, functional: bool) -> None:
        """Start counting, before the implementation is imported.

        With ``functional`` batch sizes are seen at ``torch.nn.functional.linear`` instead of at
        ``nn.Linear``: for models that call it. It cannot be replaced under TorchScript.
        """
        # Gymnasium is wanted in checking runs only.
        from gymnasium.envs.classic_control import cartpole

        register_optimizer_step_pre_hook(self._on_update)
        if functional:
            nn.functional.linear = self._wrap_linear(nn.functional.linear)
        else:
            nn.modules.module.register_module_forward_pre_hook(self._on_forward)
        self._wrap(cartpole.CartPoleEnv, lambda env: 1)
        self._wrap(cartpole.CartPoleVectorEnv, lambda env: env.num_envs)

    def zero(self) -> None:
        """Forget the counts: the measurement starts."""
        self.updates = self.env_steps = self.resets = 0
        self.rows.clear()

    def report(self, settings: Settings, steps: int) -> dict[str, Any]:
        """What was counted, per iteration, beside what the settings ask for."""
        iterations = steps / settings.batch
        return {
            "updates_per_iteration": self.updates / iterations,
            "expected_updates": settings.updates_per_iteration,
            "true_env_steps_per_iteration": self.env_steps / iterations,
            "resets_per_iteration": self.resets / iterations,
            "batch_rows": dict(self.rows.most_common(4)),
            **self.groups,
        }

    def _on_update(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.updates += 1
        if not self.groups:
            first = optimizer.param_groups[0]
            shapes = [tuple(p.shape) for group in optimizer.param_groups for p in group["params"]]
            self.groups = {
                "optimizer": type(optimizer).__name__,
                "learning_rate": float(first["lr"]),
                "eps": float(first["eps"]),
                "parameters": sum(torch.Size(shape).numel() for shape in shapes),
            }

    def _on_forward(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, nn.Linear) and torch.is_grad_enabled():
            self.rows[inputs[0].shape[:-1].numel()] += 1

    def _wrap_linear(self, linear: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def counting_linear(
            x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
        ) -> torch.Tensor:
            if not torch.compiler.is_compiling() and torch.is_grad_enabled():
                self.rows[x.shape[:-1].numel()] += 1
            return linear(x, weight, bias)

        return counting_linear

    def _wrap(self, cls: Any, count: Callable[[Any], int]) -> None:
        step, reset = cls.step, cls.reset

        def counting_step(env: Any, action: Any) -> Any:
            self.env_steps += count(env)
            return step(env, action)

        def counting_reset(env: Any, *, seed: int | None = None, options: Any = None) -> Any:
            self.resets += count(env)
            return reset(env, seed=seed, options=options)

        cls.step, cls.reset = counting_step, counting_reset
