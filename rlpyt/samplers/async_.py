"""A sampler in a process of its own: it collects the next batch while the last one is learned
from.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, final

from rlpyt.agents.base import Agent
from rlpyt.data import Samples, TrajInfo
from rlpyt.samplers.async_server import (
    CollectBatch,
    LoadState,
    SamplerSetup,
    TellState,
    TellTimes,
    serve_sampler,
)
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.double_buffer import DoubleBuffer
from rlpyt.samplers.meter import SamplerTimes
from rlpyt.samplers.role import Role, Roles
from rlpyt.utils.buffer import leaves
from rlpyt.utils.config import fresh
from rlpyt.utils.shared_memory import SharedBlock
from rlpyt.utils.synchronize import SharedParams

__all__ = ["SamplerProcess"]

_REPLAY_PATIENCE = 30.0  # timeouts to wait for a state, which may take thousands of steps


class _Batch(NamedTuple):
    """A batch that has been collected."""

    itr: int
    version: int  # iterations learned from, by the parameters that sampled it
    trajs: list[TrajInfo]


@final
class SamplerProcess:
    """Runs any sampler in a process of its own.

    While batch ``n`` is learned from, batch ``n + 1`` is collected, with the parameters as they
    were before: two halves of a double buffer, of which each belongs to one side. Either side waits
    for the other, and nothing is dropped. What is sampled depends on the seed alone, not on who is
    faster.

    With ``lockstep`` a batch is collected only when all that came before has been learned from, as
    if the sampler were in this process.
    """

    def __init__(
        self,
        roles: Roles,
        sampler: BaseSampler,
        learners: Sequence[Role] = (),
        *,
        n_itr: int,
        lockstep: bool,
        timeout: float,
    ) -> None:
        """``sampler`` is not initialised; a batch may take ``timeout`` seconds. Of its columns the
        ``learners``, other processes with
        :class:`~rlpyt.samplers.shared_batches.SharedBatches`, have equal parts, and the first
        is this process's.
        """
        self._roles, self._sampler, self._learners = roles, sampler, learners
        self._columns = slice(0, sampler.batch_B // (1 + len(learners)))
        self._n_itr, self._lockstep, self._timeout = n_itr, lockstep, timeout
        self._requested: tuple[int, int] | None = None  # iteration asked for, and the parameters'
        self._arrived: _Batch | None = None
        self._is_idle = False  # the process has replied to everything
        self._wait = 0.0  # seconds
        self._lags = [0, 0]  # [n]: batches sampled with parameters that were n iterations old

    def initialize(
        self,
        agent: Agent,
        *,
        seed: int,
        discount: float,
        bootstrap_value: bool,
        rank: int,
        n_ranks: int,
    ) -> None:
        """Start the process; all ranks learn from its batches."""
        self._agent = agent
        self._template = self._sampler.TrajInfoCls(discount=discount)
        setup = SamplerSetup(
            sampler=fresh(self._sampler),
            agent=fresh(agent),
            device=str(agent.device),
            seed=seed,
            discount=discount,
            bootstrap_value=bootstrap_value,
        )
        self._params = SharedParams.allocate(agent.state_dict())
        self._role: Role = self._roles.start("sampler", serve_sampler, setup, torch_threads=1)
        self._role.send(self._params.block.layout, [self._params.block.fd])
        self._params.block.close()  # what is mapped needs no descriptor
        handover = self._hear()
        block = SharedBlock(self._role.receive_fd(), handover.layout)
        self.buffer = DoubleBuffer(block)
        self._views = [half[:, self._columns] for half in self.buffer.halves]
        for learner in self._learners:
            learner.send(handover, [block.fd])
        block.close()

    def plan(self) -> dict[str, Any]:
        """The sampler's own; how its batches are shared."""
        plan = self._sampler.plan()
        text = "sampling in a process of its own, " + (
            "in lockstep" if self._lockstep else "one batch ahead"
        )
        return {**plan, "text": "; ".join(filter(None, [text, plan.get("text")]))}

    def obtain_samples(self, itr: int) -> tuple[Samples, list[TrajInfo]]:
        """The columns of the batch of ``itr`` that this process learns from, [T, B]; and the
        episodes that ended in the batch. The columns are overwritten by the call after the next.
        Unless in lockstep, the collection of the next batch has begun.
        """
        if self._requested is None and self._arrived is None:
            self._request(itr, itr)
        batch, self._arrived = self._arrived or self._receive(), None
        self._lags[itr - batch.version] += 1
        if not self._lockstep and itr + 1 < self._n_itr:
            self._request(itr + 1, itr)
        self.buffer.filled = itr + 1
        return self._views[itr % 2], batch.trajs

    def _request(self, itr: int, version: int) -> None:
        """Ask for a batch, by the present parameters. Nobody fetches while they are published: the
        batch before has arrived.
        """
        self._params.publish(self._agent.state_dict())
        self._tell(CollectBatch(itr))
        self._requested = (itr, version)

    def _receive(self) -> _Batch:
        assert self._requested is not None
        start = time.perf_counter()
        trajs = self._hear()
        self._wait += time.perf_counter() - start
        (itr, version), self._requested = self._requested, None
        return _Batch(itr, version, trajs)

    def _ask(self, request: Any, patience: float = 1.0) -> Any:
        """What the process replies, once it is through with its batch."""
        if self._requested is not None:
            self._arrived = self._receive()
        self._tell(request)
        return self._hear(patience)

    def _tell(self, request: Any) -> None:
        self._is_idle = False
        self._role.send(request)

    def _hear(self, patience: float = 1.0) -> Any:
        found = self._role.receive(self._timeout * patience, self._roles.check)
        self._is_idle = True
        return found

    def times(self) -> SamplerTimes:
        """The sampler's; waiting is this process's."""
        times: SamplerTimes = self._ask(TellTimes())
        return replace(times, wait=self._wait, lags=tuple(self._lags))

    def state_dict(self) -> dict[str, Any]:
        """The sampler's, and the batch that is not learned from yet."""
        sampler, batch = self._ask(TellState()), self._arrived
        pending = None
        if batch is not None:
            copy = leaves(self.buffer.copied(batch.itr))
            pending = {
                "itr": batch.itr,
                "version": batch.version,
                "trajs": [dict(vars(traj)) for traj in batch.trajs],
                "leaves": {str(i): leaf for i, leaf in enumerate(copy)},
            }
        return {"sampler": sampler, "pending": pending, "lags": list(self._lags)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._params.publish(self._agent.state_dict())
        self._ask(LoadState(state["sampler"]), _REPLAY_PATIENCE)
        self._lags = list(state["lags"])
        self._arrived, pending = None, state["pending"]
        if pending is not None:
            half = leaves(self.buffer.halves[pending["itr"] % 2])
            for leaf, saved in zip(half, pending["leaves"].values(), strict=True):
                leaf.copy_(saved)
            trajs = [replace(self._template, **saved) for saved in pending["trajs"]]
            self._arrived = _Batch(pending["itr"], pending["version"], trajs)

    def shutdown(self) -> None:
        """Have the process close its environments, where it listens; it ends with the other roles
        at the latest.
        """
        if self._is_idle:
            self._is_idle = False
            self._role.end()
