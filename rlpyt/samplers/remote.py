"""A collector whose environments are in worker processes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch

from rlpyt.agents.base import Agent
from rlpyt.data import Samples, TrajInfo
from rlpyt.envs.capsule import HANG
from rlpyt.samplers.acting import LocalActing, agent_examples
from rlpyt.samplers.base import CollectionSpec
from rlpyt.samplers.buffer import SampleBuffer
from rlpyt.samplers.collector import BatchCollector
from rlpyt.samplers.failure import WorkerLostError
from rlpyt.samplers.history import ActionHistory
from rlpyt.samplers.meter import SamplerTimes, WorkerTimes
from rlpyt.samplers.parts import Parts, Span
from rlpyt.samplers.requests import Collect
from rlpyt.samplers.state import join_states, part_of_state
from rlpyt.samplers.trajectories import FinishedTraj, in_order
from rlpyt.samplers.workers import Workers
from rlpyt.utils.buffer import leaves

__all__ = ["RemoteCollector"]


@final
@dataclass
class _Group:
    """Workers whose environments the master acts for together."""

    ranks: list[int]
    start: int  # columns
    stop: int
    acting: LocalActing


@final
class RemoteCollector(BatchCollector):
    """Asks the workers of ``spans`` for their columns of each batch.

    Without ``groups`` the workers act by themselves, with the parameters published for the batch.
    With them the agent acts here, for one group of workers after the other: while one group steps
    its environments, the next one's actions are chosen.
    """

    def __init__(
        self,
        number: int,
        workers: Workers,
        spec: CollectionSpec,
        agent: Agent,
        spans: Sequence[Span],
        groups: Sequence[Sequence[int]],
    ) -> None:
        """Build the environments in the workers; ``number`` is the collection's name there."""
        self._number, self._workers, self._pool = number, workers, workers.pool
        self._spec, self._agent = spec, agent
        self._parts = Parts(number, workers, spec, spans)
        self._spans = self._parts.spans
        built = self._parts.built[0]
        self._examples = agent_examples(agent, built.spaces)
        self._buffer = spec.sample_buffer(
            built.spaces,
            self._examples,
            invalid_steps=built.invalid_steps,
            allocate=self._parts.allocate,
        )
        self._parts.bind(self._examples)
        self._groups = [self._group(ranks) for ranks in groups]
        self._tracker = spec.tracker()  # where the agent acts here
        self._history = ActionHistory(spec, built.spaces, self._buffer)
        self._wait = self._act = 0.0  # seconds
        self._worker_times = WorkerTimes({rank: self._pool.meter(rank) for rank in self._spans})
        self._steps: int | None = None  # of the run before the present batch
        self._restart_row: int | None = None
        workers.collections.append(self)

    def _group(self, ranks: Sequence[int]) -> _Group:
        members = [rank for rank in ranks if rank in self._spans]
        start, stop = self._spans[members[0]].start, self._spans[members[-1]].stop
        buffer = SampleBuffer(self._buffer.arrays[:, start:stop])
        acting = self._spec.part(start, stop).local_acting(self._agent, buffer, self._examples)
        return _Group(members, start, stop, acting)

    def reset(
        self,
        *,
        first_episode: int = 0,
        max_decorrelation_steps: int = 0,
        keys: tuple[int, ...] = (),
    ) -> None:
        """As :class:`BatchCollector`."""
        self._workers.publish(self._agent)
        self._parts.reset(first_episode, max_decorrelation_steps, keys)
        for group in self._groups:
            group.acting.reset(keys)
        self._tracker.reset()
        self._begin_history()

    def _begin_history(self) -> None:
        for rank, state in self._parts.states().items():
            self._history.begin(self._spans[rank].start, state["env"])

    @torch.inference_mode()
    def collect(self, steps: int | None = None) -> tuple[Samples, list[TrajInfo]]:
        """As :class:`BatchCollector`."""
        self._steps = steps
        start = time.perf_counter()
        self._workers.publish(self._agent)
        self._worker_times.begin_batch()
        for rank in self._spans:
            self._ask(rank)
        self._wait += time.perf_counter() - start
        if self._groups:
            self._serve()
        replies = self._replies()
        self._finish()
        self._worker_times.end_batch(acts=not self._groups)
        self._history.extend()
        if self._groups:
            finished = self._tracker.finish(self._buffer.samples_np)
        else:
            finished = in_order([item for rank in self._spans for item in replies[rank]])
        return self._buffer.samples, [traj for _end, traj in finished]

    def _ask(self, rank: int, start: int = 0) -> None:
        try:
            self._pool.send(rank, Collect(self._number, start, self._steps))
        except WorkerLostError as lost:
            self._replace(lost, row=start)

    def _serve(self) -> None:
        """Answer every row of the batch, group by group."""
        clock = time.perf_counter
        mark = clock()
        for group in self._groups:
            group.acting.begin(self._steps)
        for t in range(self._spec.T):
            for group in self._groups:
                waiting = clock()
                self._act += waiting - mark
                for rank in group.ranks:
                    self._await_step(rank, t)
                mark = clock()
                self._wait += mark - waiting
                if t:
                    group.acting.stepped(t - 1)
                group.acting.act(t)
                for rank in group.ranks:
                    self._pool.answer_step(rank)
        self._act += clock() - mark

    def _finish(self) -> None:
        """The agent's part after the last row, where it acts here."""
        if self._groups:
            start = time.perf_counter()
            for group in self._groups:
                group.acting.stepped(self._spec.T - 1)
                group.acting.finish()
            self._act += time.perf_counter() - start

    def _await_step(self, rank: int, t: int) -> None:
        while True:
            try:
                return self._pool.await_step(rank)
            except WorkerLostError as lost:
                self._replace(lost, row=t)

    def _replies(self) -> dict[int, list[FinishedTraj]]:
        """What the workers say at the batch's end."""
        start = time.perf_counter()
        replies: dict[int, list[FinishedTraj]] = {}
        while waiting := [rank for rank in self._spans if rank not in replies]:
            try:
                self._pool.gather(waiting, replies)
            except WorkerLostError as lost:
                self._replace(lost, row=self._spec.T if self._groups else 0)
        self._wait += time.perf_counter() - start
        return replies

    def _replace(self, lost: WorkerLostError, *, row: int) -> None:
        """Have another worker go on in place of the lost one, from ``row`` of this batch.

        Where the agent acts in the workers, that is the first: all that the lost one has collected
        is dropped. Where the master acts, the step that was not completed becomes a truncation.
        """
        self._add_capsule(lost)
        self._restart_row = row or None
        try:
            self._workers.replace(lost)
        finally:
            self._restart_row = None
        if row:
            self._truncate(self._spans[lost.rank].columns, row - 1)
        self._ask(lost.rank, row)

    def _add_capsule(self, lost: WorkerLostError) -> None:
        """Where it was, and what would replay it, of a worker that could not say a word."""
        span = self._spans[lost.rank]
        env_row = int(self._pool.meter(lost.rank).env_row[0])
        if lost.error.capsule is None and 0 <= env_row < span.stop - span.start:
            column = span.start + env_row
            if lost.code == HANG:
                lost.error.what += f" in env {self._spec.env_indices[column]}"
            failure = {"code": lost.code, "what": lost.error.what, "where": ""}
            taken = self._worker_times.steps(lost.rank)
            lost.error.capsule = self._history.capsule(column, taken, failure)

    def _truncate(self, columns: slice, t: int) -> None:
        samples = self._buffer.samples
        samples.reward[t, columns] = 0.0
        samples.terminated[t, columns] = False
        samples.truncated[t, columns] = True
        for last, observation in zip(
            leaves(samples.final_observation), leaves(samples.observation), strict=True
        ):
            last[t, columns] = observation[t, columns]

    def rebuild(self, rank: int) -> None:
        """Have the new worker ``rank`` make its environments, and start new episodes."""
        if rank not in self._spans:
            return
        span = self._spans[rank]
        # Numbers that no episode of these environments has had.
        following = int(self._history.episode[span.columns].max()) + self._spec.T + 1
        state = self._parts.rebuild(rank, following, self._restart_row)
        self._history.begin(span.start, state["env"])
        if self._restart_row is None:  # else its open episodes are truncated in the batch
            self._tracker.restart(range(span.start, span.stop))

    @property
    def samples(self) -> Samples:
        """As :class:`BatchCollector`."""
        return self._buffer.samples

    def times(self) -> SamplerTimes:
        """As :class:`BatchCollector`."""
        transfer = sum(group.acting.transfer_seconds for group in self._groups)
        return SamplerTimes(
            act=self._act - transfer,
            wait=self._wait,
            transfer=transfer,
            env=self._worker_times.env,
            worker_act=self._worker_times.act,
            busy=self._worker_times.busy,
            restarts=self._workers.restarts,
        )

    def state_dict(self) -> dict[str, Any]:
        """As :class:`BatchCollector`."""
        state = self._parts.state_dict()
        if self._groups:
            state["actor"] = join_states([group.acting.state_dict() for group in self._groups])
            state["trajs"] = self._tracker.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As :class:`BatchCollector`."""
        self._workers.publish(self._agent)
        self._parts.load_state_dict(state)
        for group in self._groups:
            actor = part_of_state(state["actor"], group.start, group.stop)
            group.acting.load_state_dict(actor)
        if self._groups:
            self._tracker.load_state_dict(state["trajs"])
            # Also where environments could not go on, and workers have started others.
            starts = self._buffer.arrays.reset[self._spec.T]
            self._tracker.restart(starts.nonzero().flatten().tolist())
        self._begin_history()

    def close(self) -> None:
        """Close the environments, and give the memory back."""
        if self in self._workers.collections:  # else the workers have ended, with all they had
            self._workers.collections.remove(self)
            self._parts.close()
        self._parts.release()
