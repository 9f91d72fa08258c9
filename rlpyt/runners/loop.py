"""The readable loop of sampling and learning, with logs, checkpoints and a clean end."""

import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, NoReturn, final

import torch

from rlpyt.checkpoint.lock import RunLock
from rlpyt.data import BatchSpec
from rlpyt.logging.logger import Logger
from rlpyt.logging.progress import ProgressBar
from rlpyt.logging.run_state import RunState
from rlpyt.runners.announce import announce, check_ranks_agree, log_settings
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.checkpoints import RunCheckpoints
from rlpyt.runners.failed_update import with_evidence
from rlpyt.runners.init_from import read_origin
from rlpyt.runners.records import RunRecords
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.source import SampleSource
from rlpyt.utils.device import resolve_device
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.interrupt import StopRequest, stop_on_signals
from rlpyt.utils.memory import keep_freed_memory
from rlpyt.utils.shared_memory import readable
from rlpyt.utils.world import World

__all__ = ["TrainingLoop"]


@final
class TrainingLoop:
    """One run, as one process of its ``world`` goes through it.

    All processes sample, learn, save their own part and stop together; the first alone logs and
    evaluates.
    """

    def __init__(
        self,
        runner: BaseRunner,
        source: SampleSource,
        *,
        world: World | None = None,
        batch_spec: BatchSpec | None = None,
        eval_sampler: BaseSampler | None = None,
        device: torch.device | None = None,
        watch: AbstractContextManager[None] | None = None,
    ) -> None:
        """``batch_spec`` is of the batches that ``source`` gives here, ``eval_sampler`` steps the
        environments of evaluations, ``device`` is where to learn: by default as in ``runner``.
        ``watch`` is a context around the whole run, which may replace an error by its cause.
        """
        self._runner, self._source = runner, source
        self._world = world or World()
        self._spec = batch_spec or runner.sampler.batch_spec
        self._eval_sampler = eval_sampler or runner.sampler
        self._device = device
        self._watch = watch or nullcontext()
        self._evaluator = runner.evaluator if self._world.is_first else None
        self._logger: Logger | None = None
        self._go_to(0)

    def _go_to(self, itr: int) -> None:
        self._itr, self._runner.cum_steps = itr, itr * self._runner.steps_per_itr

    def run(self, logger: Logger | None, *, resume: bool) -> None:
        """From the start, or from the newest checkpoint, to the end."""
        runner, world = self._runner, self._world
        self._logger = logger = logger if world.is_first else None
        with self._started(logger, resume) as (stop, bar):
            stopped = False
            if not self._resumes:
                if runner.evaluator is not None:
                    self._log_row(logger, bar)
                self._save(needed=True)
            while self._itr < runner.last_itr and not stopped:
                samples, trajs = self._source.obtain_samples(self._itr)
                sampled = time.perf_counter()
                opt_info = runner.algo.optimize_agent(self._itr, samples)
                self._go_to(self._itr + 1)
                self._records.add(trajs, opt_info, time.perf_counter() - sampled)
                if bar is not None:
                    bar.update(runner.cum_steps)
                if self._itr == runner.n_itr or self._itr % self._log_interval == 0:
                    self._log_row(logger, bar)
                stopped, due = world.any([bool(stop), self._checkpoints.is_due(self._itr)])
                if due:
                    self._save()
            self._save(needed=True)
            if self._itr < runner.last_itr:
                self._end_early(logger, stop)
            if not self._is_complete() and logger is not None:
                logger.text(self._end_told("paused", logger), self._itr)

    @contextmanager
    def _started(
        self, logger: Logger | None, resume: bool
    ) -> Iterator[tuple[StopRequest, ProgressBar | None]]:
        """Everything is built inside, and closed however the run ends."""
        self._runner.check()
        with ExitStack() as stack:
            if logger is not None:
                stack.enter_context(RunLock(logger.run_dir))
                _check_begins(logger, resume)
            stop = stack.enter_context(stop_on_signals())
            if logger is not None:
                stack.enter_context(self._errors_logged(logger))
                stack.enter_context(RunState(logger.run_dir, stop, self._is_complete))
            stack.enter_context(self._watch)
            self._checkpoints = RunCheckpoints(self._runner, self._world, logger)
            stack.push(self._checkpoints.close)
            stack.callback(self._shutdown)
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            self._resumes = self._world.gather(resume)[0]
            self._build(logger)
            if self._resumes:
                self.load_state_dict(self._checkpoints.load())
            if logger is not None:
                announce(logger, self._runner, self._source.plan(), self._itr, self._origin)
            yield stop, stack.enter_context(self._bar(logger))

    def _bar(self, logger: Logger | None) -> AbstractContextManager[ProgressBar | None]:
        if logger is None:
            return nullcontext()
        runner = self._runner
        total = runner.n_itr * runner.steps_per_itr
        return ProgressBar(total, console=logger.console, initial_steps=runner.cum_steps)

    @contextmanager
    def _errors_logged(self, logger: Logger) -> Iterator[None]:
        """An error that a user meets stands in debug.log too, with what would replay it."""
        try:
            yield
        except RlpytError as error:
            told = with_evidence(error, self._runner, self._itr, logger.run_dir)
            trace = "".join(traceback.format_exception(told.with_traceback(None)))
            logger.text(f"{told}\n{trace}", self._itr, show=False)
            raise told from error.__cause__

    def _shutdown(self) -> None:
        with ExitStack() as stack:
            if self._evaluator is not None:
                stack.callback(self._evaluator.shutdown)
                stack.callback(self._eval_sampler.shutdown)
            stack.callback(self._source.shutdown)

    def _build(self, logger: Logger | None) -> None:
        """Initialise agent, source and algorithm, in that order: each needs the one before."""
        runner, world = self._runner, self._world
        if runner.torch_threads is not None:
            torch.set_num_threads(runner.torch_threads)
        keep_freed_memory()
        check_ranks_agree(runner, world)
        device = self._device or resolve_device(runner.device)
        self._origin = read_origin(None if self._resumes else runner.init_from, world)
        if logger is not None:
            plan, lineage = self._source.plan(), self._origin and self._origin.lineage
            log_settings(logger, runner, plan, device, resume=self._resumes, lineage=lineage)
        self._go_to(0)
        self._log_interval = runner.log_interval_itr
        runner.agent.initialize(runner.sampler.env_spaces(), seed=runner.seed, device=device)
        if self._origin is not None:
            self._origin.load_into(runner.agent)
        self._source.initialize(
            runner.agent,
            seed=runner.seed,
            discount=runner.algo.discount,
            bootstrap_value=runner.algo.bootstrap_value,
            rank=world.rank,
            n_ranks=world.size,
        )
        self._build_learner(logger)
        self._records = RunRecords(
            traj_columns=tuple(runner.sampler.TrajInfoCls().columns()),
            window=runner.log_traj_window,
            offline=runner.evaluator is not None,
        )

    def _build_learner(self, logger: Logger | None) -> None:
        runner, world = self._runner, self._world
        replay_size = runner.algo.forecast(runner.agent, self._spec)
        self._checkpoints.replay_size = replay_size
        if logger is not None and replay_size:
            size = readable(replay_size)
            each = f" in each of {world.size} ranks" * (world.size > 1)
            logger.text(f"the replay takes {size}{each} when it is full", self._itr)
        runner.algo.initialize(
            runner.agent,
            n_itr=runner.n_itr,
            batch_spec=self._spec,
            seed=runner.seed,
            world=world,
        )
        if self._evaluator is not None:
            self._evaluator.initialize(
                runner.agent, self._eval_sampler, seed=runner.seed, discount=runner.algo.discount
            )

    def _log_row(self, logger: Logger | None, bar: ProgressBar | None) -> None:
        runner, world = self._runner, self._world
        if self._evaluator is not None:
            start = time.perf_counter()
            trajs = self._evaluator.evaluate(self._itr)
            self._records.add_evaluation(trajs, time.perf_counter() - start)
        if runner.evaluator is not None:
            world.meet()
        self._records.gather(world)
        if not world.is_first:
            return
        per_update = world.size * runner.algo.samples_per_itr() / runner.algo.updates_per_itr()
        row = self._records.row(self._itr, runner.cum_steps, per_update, self._source.times())
        if logger is not None:
            logger.row(row, runner.cum_steps)
        if bar is not None:
            bar.report(runner.cum_steps, self._records.score)

    def _save(self, *, needed: bool = False) -> None:
        """Save all that the run is, if that is not done yet."""
        self._checkpoints.save(self._itr, self.state_dict, self._records.score, needed=needed)

    def _end_early(self, logger: Logger | None, stop: StopRequest) -> NoReturn:
        """After a signal, to any process: say where the run stands, and exit with the code that
        shells expect.
        """
        stop.signum = max(self._world.gather(stop.signum))
        if logger is not None:
            logger.text(self._end_told(f"{stop.name}: stopped", logger), self._itr)
        raise SystemExit(stop.exit_code)

    def _end_told(self, how: str, logger: Logger) -> str:
        return (
            f"{how} after {self._runner.cum_steps:,} of {self._runner.n_steps:,} steps, checkpoint "
            f"saved; continue with `rlpyt resume {logger.run_dir}`"
        )

    def _is_complete(self) -> bool:
        return self._itr >= self._runner.n_itr

    def state_dict(self) -> dict[str, Any]:
        """Everything the run is, in this process."""
        return {
            "itr": self._itr,
            "agent": self._runner.agent.state_dict(),
            "algo": self._runner.algo.state_dict(),
            "sampler": self._source.state_dict(),
            "records": self._records.state_dict(),
            "logger": None if self._logger is None else self._logger.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._go_to(state["itr"])
        self._runner.agent.load_state_dict(state["agent"])
        self._runner.algo.load_state_dict(state["algo"])
        self._source.load_state_dict(state["sampler"])
        self._records.load_state_dict(state["records"])
        if self._logger is not None:
            self._logger.load_state_dict(state["logger"])


def _check_begins(logger: Logger, resume: bool) -> None:
    """Rows of another run stay what they are."""
    if not resume and logger.state_dict()["rows"]:
        what = f"{logger.run_dir} has the rows of a run already"
        hint = "go on with it by train(logger, resume=True), or choose another run_ID or log_dir"
        raise RlpytError("directory", what, hint=hint)
