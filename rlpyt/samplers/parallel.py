"""What the parallel samplers have in common: worker processes, and the plan by which they share."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from rlpyt.agents.base import Agent
from rlpyt.samplers.base import BaseSampler, CollectionSpec
from rlpyt.samplers.collector import BatchCollector
from rlpyt.samplers.failure import WorkerLostError
from rlpyt.samplers.parts import Span
from rlpyt.samplers.plan import WorkerPlan, plan_workers
from rlpyt.samplers.pool import WorkerPool
from rlpyt.samplers.processes import StartMethod, check_start_method
from rlpyt.samplers.remote import RemoteCollector
from rlpyt.samplers.requests import WorkerSetup
from rlpyt.samplers.workers import OnWorkerFailure, RestartBudget, Workers, raise_lost
from rlpyt.utils.cpus import CpuAffinity, pin_process, usable_cpus
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream
from rlpyt.utils.synchronize import SharedParams

__all__ = ["ParallelSampler"]


@dataclass(kw_only=True)
class ParallelSampler(BaseSampler, ABC):
    """Environments in worker processes, which write into shared memory.

    Every wait has a deadline. A worker that dies, hangs or fails ends the run with its rank,
    process id, environments and traceback; or, with ``on_worker_failure="restart"``, is replaced by
    one that starts new episodes, and the run is not repeatable any more. Workers end with this
    process, however it ends.
    """

    n_workers: int | None = None  # None: from the CPUs that this process may use
    affinity: CpuAffinity | None = None  # None: workers are pinned where CPUs were assigned to us
    start_method: StartMethod = "forkserver"  # or "spawn": slower to start, knows no helper process
    worker_timeout: float = 60.0  # seconds without progress, after which a worker counts as hanging
    on_worker_failure: OnWorkerFailure = "raise"
    max_restarts: int = 3  # with "restart": so many within
    restart_window: float = 600.0  # seconds, before the run is ended after all
    _workers: Workers | None = field(init=False, repr=False, compare=False, default=None)
    _own_cpus: tuple[int, ...] = field(init=False, repr=False, compare=False, default=())
    _n_opened: int = field(init=False, repr=False, compare=False, default=0)
    _open: list[RemoteCollector] = field(
        init=False, repr=False, compare=False, default_factory=list
    )

    @property
    @abstractmethod
    def acts_in_workers(self) -> bool:
        """Whether each worker has a copy of the agent; else the agent acts in this process."""

    @property
    @abstractmethod
    def n_groups(self) -> int:
        """Groups of workers for which the agent acts in turn."""

    def _plan(self) -> WorkerPlan:
        return plan_workers(
            batch_B=self.batch_B,
            n_workers=self.n_workers,
            group_size=self.group_size,
            n_groups=self.n_groups,
            acts_in_workers=self.acts_in_workers,
            affinity=self.affinity,
        )

    def plan(self) -> dict[str, Any]:
        """Workers, their environments, CPUs and threads, as data for JSON; and what float sums
        depend on: the columns of one inference call, and its threads (None: those of this process).
        """
        plan = self._plan()
        return {
            "text": plan.describe(),
            **plan.as_dict(),
            "inference": {
                "columns": self._inference_columns(plan),
                "threads": plan.worker_threads if self.acts_in_workers else None,
            },
        }

    def _inference_columns(self, plan: WorkerPlan) -> list[list[int]]:
        if self.acts_in_workers:
            together = [list(columns) for columns in plan.envs]
        else:
            ends = [(ranks[0], ranks[-1]) for ranks in plan.groups]
            together = [[plan.envs[first][0], plan.envs[last][1]] for first, last in ends]
        return [
            [b, min(b + (self.group_size or stop), stop)]
            for start, stop in together
            for b in range(start, stop, self.group_size or stop)
        ]

    def open(self, spec: CollectionSpec, agent: Agent) -> RemoteCollector:
        """A collector on the workers, which the first one starts."""
        plan = self._plan()
        if self._workers is None:
            self._workers = self._start(plan, agent, spec.seed)
        if spec.env_stream == Stream.ENV:  # the batches that the plan is for
            spans = [Span(rank, *columns) for rank, columns in enumerate(plan.envs)]
            groups: Sequence[Sequence[int]] = plan.groups
        else:
            spans = _spans(spec.n_envs, plan.n_workers, spec.group_size or 1)
            groups = [[span.rank for span in spans]]
        if self.acts_in_workers:
            groups = []
        self._n_opened += 1
        try:
            collector = RemoteCollector(self._n_opened, self._workers, spec, agent, spans, groups)
        except RlpytError:
            self._workers.unbuilt.append(self._n_opened)
            raise
        self._open = [one for one in self._open if one in self._workers.collections]
        self._open.append(collector)
        return collector

    def give_up(self, failed: BatchCollector | None) -> None:
        """End what workers still do for it, and close its environments."""
        assert self._workers is not None  # it was opened there
        self._workers.drain()
        if failed is not None:
            with suppress(RlpytError):  # of an environment that is broken
                failed.close()
            self._workers.drain()
        self._workers.close_unbuilt()

    def _start(self, plan: WorkerPlan, agent: Agent, seed: int) -> Workers:
        self._check()
        for warning in plan.warnings:
            warnings.warn(warning, RuntimeWarning, stacklevel=2)
        setups = [
            WorkerSetup(
                rank=rank,
                agent=replace(agent) if self.acts_in_workers else None,
                cpus=plan.cpus[rank],
                torch_threads=plan.worker_threads,
                seed=seed,
            )
            for rank in range(plan.n_workers)
        ]
        params = SharedParams.allocate(agent.state_dict()) if self.acts_in_workers else None
        pool = WorkerPool(
            setups=setups,
            envs=[f"{start}-{stop - 1}" for start, stop in plan.envs],
            timeout=self.worker_timeout,
            start_method=self.start_method,
        )
        budget = RestartBudget(self.max_restarts, self.restart_window)
        workers = Workers(
            pool=pool, params=params, on_failure=self.on_worker_failure, budget=budget
        )
        try:
            workers.attach(range(plan.n_workers))
        except WorkerLostError as lost:
            workers.close()
            raise_lost(lost)
        except BaseException:
            workers.close()
            raise
        if self.affinity is not None and plan.master_cpus:  # after workers, which would inherit it
            self._own_cpus = usable_cpus().ids
            self._pin(plan.master_cpus)
        return workers

    def _pin(self, cpus: Sequence[int]) -> None:
        warning = pin_process(cpus)
        if warning is not None:
            warnings.warn(warning, RuntimeWarning, stacklevel=3)

    def _check(self) -> None:
        check_start_method("sampler.start_method", self.start_method)
        if self.worker_timeout <= 0:
            what = f"sampler.worker_timeout={self.worker_timeout}"
            raise RlpytError("config", what, hint="use a number of seconds above 0")

    def shutdown(self) -> None:
        """End the workers."""
        self._collector, workers, self._workers = None, self._workers, None
        try:
            if workers is not None:
                workers.close()
        finally:
            while self._open:  # their memory: the workers had the rest
                self._open.pop().close()
            if self._own_cpus:
                self._pin(self._own_cpus)
                self._own_cpus = ()


def _spans(B: int, n_workers: int, unit: int) -> list[Span]:
    """``B`` columns divided evenly in units, of which the last may be smaller; the first workers
    take one more.
    """
    units = math.ceil(B / unit)
    least, more = divmod(units, n_workers)
    spans, start = [], 0
    for rank in range(min(n_workers, units)):
        stop = min(B, start + unit * (least + (rank < more)))
        spans.append(Span(rank, start, stop))
        start = stop
    return spans
