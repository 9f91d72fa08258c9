"""The runner: the readable loop of sampling and learning, with logs, checkpoints and a clean
end.
"""

import json
import math
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NoReturn, final

import torch

from rlpyt.agents.base import Agent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.checkpoint.lock import RunLock
from rlpyt.envs.build import EnvConfig
from rlpyt.envs.capsule import with_capsule
from rlpyt.envs.gym import env_name
from rlpyt.logging.logger import Logger
from rlpyt.logging.progress import ProgressBar
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.records import RunRecords
from rlpyt.runners.saver import RunSaver, RunState
from rlpyt.runners.settings import check_unchanged, lost_exactness
from rlpyt.samplers.base import BaseSampler
from rlpyt.utils.config import config_dict
from rlpyt.utils.device import resolve_device
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.interrupt import StopRequest, stop_on_signals
from rlpyt.utils.memory import keep_freed_memory
from rlpyt.utils.shared_memory import readable

__all__ = ["MinibatchRl"]


@final
@dataclass(kw_only=True)
class MinibatchRl:
    """Samples a batch, learns from it, and again, for ``n_steps`` environment steps.

    Without an ``evaluator`` the log reports the training episodes, the last ``log_traj_window`` of
    them; with one, an offline evaluation before training and at each interval.
    """

    algo: RlAlgorithm
    agent: Agent
    sampler: BaseSampler
    n_steps: int  # environment steps; rounded up to whole iterations
    seed: int = 0
    evaluator: Evaluator | None = None
    log_interval_steps: int | None = None  # None: a fiftieth of n_steps
    log_traj_window: int = 100  # episodes
    checkpoint_interval_steps: int | None = None  # None: with the log, as long as it costs < 2 %
    keep_checkpoints: int = 2  # the newest; the best stays too
    device: str = "auto"
    torch_threads: int | None = 1  # small networks gain nothing from more; None: leave as it is
    _itr: int = field(init=False, repr=False, compare=False, default=0)

    @property
    def n_itr(self) -> int:
        """Iterations of the whole run: ``n_steps`` over the size of a batch, rounded up."""
        return math.ceil(self.n_steps / self.sampler.batch_spec.size)

    @property
    def cum_steps(self) -> int:
        """Environment steps so far."""
        return self._itr * self.sampler.batch_spec.size

    def train(self, logger: Logger | None = None, *, resume: bool = False) -> None:
        """Run to the end, or until SIGINT or SIGTERM: then finish the iteration, save, and exit
        with 130 or 143.

        Args:
            logger: where rows, text and checkpoints go; None: nowhere.
            resume: continue from the newest checkpoint in the logger's directory, as if never
            interrupted.

        Raises:
            RlpytError: for settings that do not fit, a broken environment, a directory in use.
        """
        with self._started(logger, resume) as (stop, bar):
            if not resume:
                if self.evaluator is not None:
                    self._log_row(logger, bar)
                self._save(needed=True)
            while self._itr < self.n_itr and not stop:
                samples, trajs = self.sampler.obtain_samples(self._itr)
                sampled = time.perf_counter()
                opt_info = self.algo.optimize_agent(self._itr, samples)
                self._itr += 1
                self._records.add(trajs, opt_info, time.perf_counter() - sampled)
                if bar is not None:
                    bar.update(self.cum_steps)
                if self._itr == self.n_itr or self._itr % self._log_interval == 0:
                    self._log_row(logger, bar)
                if self._saver is not None and self._saver.due(self._itr):
                    self._save()
            self._save(needed=True)
            if self._itr < self.n_itr:
                self._end_early(logger, stop)

    @contextmanager
    def _started(
        self, logger: Logger | None, resume: bool
    ) -> Iterator[tuple[StopRequest, ProgressBar | None]]:
        """Everything is built inside, and closed however the run ends."""
        self._check()
        with ExitStack() as stack:
            if logger is not None:
                stack.enter_context(RunLock(logger.run_dir))
            stop = stack.enter_context(stop_on_signals())
            if logger is not None:
                stack.enter_context(self._errors_logged(logger))
                stack.enter_context(RunState(logger.run_dir, stop))
            stack.callback(self._shutdown)
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            self._build(logger, resume)
            if resume:
                self._resume()
            if logger is not None:
                self._announce(logger)
            yield stop, stack.enter_context(self._bar(logger))

    def _bar(self, logger: Logger | None) -> AbstractContextManager[ProgressBar | None]:
        if logger is None:
            return nullcontext()
        total = self.n_itr * self.sampler.batch_spec.size
        return ProgressBar(total, console=logger.console, initial_steps=self.cum_steps)

    @contextmanager
    def _errors_logged(self, logger: Logger) -> Iterator[None]:
        """An error that a user meets stands in debug.log too, with what would replay it."""
        try:
            yield
        except RlpytError as error:
            told = with_capsule(error, logger.run_dir / "capsules")
            trace = "".join(traceback.format_exception(told.with_traceback(None)))
            logger.text(f"{told}\n{trace}", self._itr, show=False)
            raise told from error.__cause__

    def _shutdown(self) -> None:
        with ExitStack() as stack:
            if self.evaluator is not None:
                stack.callback(self.evaluator.shutdown)
            stack.callback(self.sampler.shutdown)

    def _check(self) -> None:
        """Raise for numbers that no run can have."""
        numbers = {
            "n_steps": self.n_steps,
            "sampler.batch_T": self.sampler.batch_T,
            "sampler.batch_B": self.sampler.batch_B,
            "log_interval_steps": self.log_interval_steps,
            "log_traj_window": self.log_traj_window,
            "checkpoint_interval_steps": self.checkpoint_interval_steps,
            "keep_checkpoints": self.keep_checkpoints,
            "torch_threads": self.torch_threads,
        }
        for name, number in numbers.items():
            if number is not None and number < 1:
                raise RlpytError("config", f"{name}={number}", hint="use 1 or more")
        if self.seed < 0:
            raise RlpytError("config", f"seed={self.seed}", hint="use 0 or more")

    def _build(self, logger: Logger | None, resume: bool) -> None:
        """Initialise agent, sampler and algorithm, in that order: each needs the one before."""
        if self.torch_threads is not None:
            torch.set_num_threads(self.torch_threads)
        keep_freed_memory()
        if logger is not None:
            self._log_settings(logger, resume)
        spec = self.sampler.batch_spec
        self._itr = 0
        log_steps = self.log_interval_steps or max(1, self.n_steps // 50)
        self._log_interval = max(1, log_steps // spec.size)
        self.agent.initialize(
            self.sampler.env_spaces(), seed=self.seed, device=resolve_device(self.device)
        )
        self.sampler.initialize(
            self.agent,
            seed=self.seed,
            discount=self.algo.discount,
            bootstrap_value=self.algo.bootstrap_value,
        )
        replay_bytes = self.algo.forecast(self.agent, spec)
        if logger is not None and replay_bytes:
            logger.text(f"the replay takes {readable(replay_bytes)} when it is full", self._itr)
        self.algo.initialize(self.agent, n_itr=self.n_itr, batch_spec=spec, seed=self.seed)
        if self.evaluator is not None:
            self.evaluator.initialize(
                self.agent, self.sampler, seed=self.seed, discount=self.algo.discount
            )
        self._records = RunRecords(
            traj_columns=tuple(self.sampler.TrajInfoCls().columns()),
            window=self.log_traj_window,
            offline=self.evaluator is not None,
        )
        self._saver = None if logger is None else self._make_saver(logger)

    def _log_settings(self, logger: Logger, resume: bool) -> None:
        """Write ``params.json``; of a resumed run, after a look at what it was."""
        path = logger.run_dir / "params.json"
        config, extra = config_dict(self), {"plan": self.sampler.plan()}
        if resume and path.exists():
            before = json.loads(path.read_text())
            check_unchanged(before, config, str(path))
            lost = lost_exactness(before, {**config, "extra": extra})
            if lost is not None:
                logger.text(lost, self._itr, show=False)
                warnings.warn(lost, RuntimeWarning, stacklevel=2)
        logger.log_params(config, extra)

    def _make_saver(self, logger: Logger) -> RunSaver:
        steps = self.checkpoint_interval_steps
        interval = None if steps is None else max(1, steps // self.sampler.batch_spec.size)
        return RunSaver(
            logger, keep=self.keep_checkpoints, interval=interval, log_interval=self._log_interval
        )

    def _resume(self) -> None:
        if self._saver is None:
            raise RlpytError("config", "resume=True without a logger", hint="pass the run's logger")
        self.load_state_dict(self._saver.load_latest())

    def _announce(self, logger: Logger) -> None:
        env = env_name(EnvConfig.of(self.sampler.env).id)
        what = f"{type(self.algo).__name__} on {env}: {self.n_steps:,} steps, seed {self.seed}"
        logger.text(f"{what}, {self.agent.device}, into {logger.run_dir}", self._itr)
        plan = self.sampler.plan()
        if plan:
            logger.text(plan["text"], self._itr)
        if self._itr:
            logger.text(f"resumed after {self.cum_steps:,} steps", self._itr)

    def _log_row(self, logger: Logger | None, bar: ProgressBar | None) -> None:
        if self.evaluator is not None:
            start = time.perf_counter()
            trajs = self.evaluator.evaluate(self._itr)
            self._records.add_evaluation(trajs, time.perf_counter() - start)
        per_update = self.algo.samples_per_itr() / self.algo.updates_per_itr()
        row = self._records.row(self._itr, self.cum_steps, per_update, self.sampler.times())
        if logger is not None:
            logger.row(row, self.cum_steps)
        if bar is not None:
            bar.report(self.cum_steps, self._records.score)

    def _save(self, *, needed: bool = False) -> None:
        if self._saver is not None and self._saver.saved_itr != self._itr:
            score = self._records.score
            self._saver.save(self.state_dict(), self._itr, self.cum_steps, score, needed=needed)

    def _end_early(self, logger: Logger | None, stop: StopRequest) -> NoReturn:
        """After a signal: say where the run stands, and exit with the code that shells expect."""
        if logger is not None:
            logger.text(
                f"{stop.name}: stopped after {self.cum_steps:,} of {self.n_steps:,} steps, "
                f"checkpoint saved; continue with `rlpyt resume {logger.run_dir}`",
                self._itr,
            )
        raise SystemExit(stop.exit_code)

    def state_dict(self) -> dict[str, Any]:
        """Everything the run is."""
        return {
            "itr": self._itr,
            "agent": self.agent.state_dict(),
            "algo": self.algo.state_dict(),
            "sampler": self.sampler.state_dict(),
            "records": self._records.state_dict(),
            "logger": self._saver.logger.state_dict() if self._saver is not None else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._itr = state["itr"]
        self.agent.load_state_dict(state["agent"])
        self.algo.load_state_dict(state["algo"])
        self.sampler.load_state_dict(state["sampler"])
        self._records.load_state_dict(state["records"])
        if self._saver is not None:
            self._saver.logger.load_state_dict(state["logger"])
