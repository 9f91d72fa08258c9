"""A sampler's workers with all that they share, and what is done when one is lost."""

import time
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn, Protocol, final

from rlpyt.agents.base import Agent
from rlpyt.samplers.failure import WorkerLostError
from rlpyt.samplers.pool import WorkerPool
from rlpyt.samplers.requests import Attach, Close
from rlpyt.utils.synchronize import SharedParams

__all__ = ["OnWorkerFailure", "Rebuilt", "RestartBudget", "Workers", "raise_lost"]

OnWorkerFailure = Literal["raise", "restart"]
"""What follows when a worker is lost: the run ends, or the worker is replaced."""


@final
@dataclass(frozen=True)
class RestartBudget:
    """How many workers may be replaced within how many seconds."""

    restarts: int
    seconds: float


class Rebuilt(Protocol):
    """What has a part in a worker, and can make it anew in another."""

    def rebuild(self, rank: int) -> None:
        """Give the new worker ``rank`` what it needs, and start episodes there."""


@final
@dataclass(kw_only=True)
class Workers:
    """The pool, the parameters that it fetches, and the rule for failures."""

    pool: WorkerPool
    params: SharedParams | None  # None: no agent acts in the workers
    on_failure: OnWorkerFailure
    budget: RestartBudget
    collections: list[Rebuilt] = field(default_factory=list)
    unbuilt: list[int] = field(default_factory=list)  # numbers of collections that failed to build
    restarts: int = 0
    _recent: deque[float] = field(init=False, default_factory=deque)  # time.monotonic, seconds

    def attach(self, ranks: Sequence[int]) -> None:
        """Hand counters and parameters to these workers."""
        meters = self.pool.meters
        blocks = [meters] if self.params is None else [meters, self.params.block]
        request = Attach(meters.layout, None if self.params is None else self.params.block.layout)
        for rank in ranks:
            self.pool.send(rank, request, [block.fd for block in blocks])
        self.pool.gather(ranks, {})

    def publish(self, agent: Agent) -> None:
        """Let the workers act by the agent's present parameters."""
        if self.params is not None:
            self.params.publish(agent.state_dict())

    def replace(self, lost: WorkerLostError) -> None:
        """Start another worker in place of the lost one, with all its collections.

        Raises:
            RlpytError: what became of the worker, where failures are to be raised, or too many
                were lost.
        """
        if self.on_failure == "raise":
            raise_lost(lost)
        now = time.monotonic()
        while self._recent and now - self._recent[0] > self.budget.seconds:
            self._recent.popleft()
        if len(self._recent) >= self.budget.restarts:
            self._exhausted(lost)
        self._recent.append(now)
        self.restarts += 1
        warnings.warn(
            f"{lost.error.what} ({lost.error.where}); it is replaced, its environments start new "
            "episodes, and the run is no longer repeatable",
            RuntimeWarning,
            stacklevel=2,
        )
        try:
            self.pool.start(lost.rank)
            self.attach([lost.rank])
            for collection in self.collections:
                collection.rebuild(lost.rank)
        except WorkerLostError as again:
            self.replace(again)

    def _exhausted(self, lost: WorkerLostError) -> NoReturn:
        budget, error = self.budget, lost.error
        what = f"restart budget exhausted ({budget.restarts} in {budget.seconds:g} s); the last: "
        told = error.altered(what=what + error.what)
        raise told from error.__cause__

    def drain(self) -> None:
        """After an environment has raised: let all workers listen again.

        Raises:
            RlpytError: what became of one that does not.
        """
        try:
            self.pool.drain()
        except WorkerLostError as lost:
            raise_lost(lost)

    def close_unbuilt(self) -> None:
        """Close the environments that some workers, which are idle, have made for collections that
        could not be built.

        Raises:
            RlpytError: as :meth:`drain`.
        """
        while self.unbuilt:
            request = Close(self.unbuilt.pop())
            try:
                for rank in range(len(self.pool.setups)):
                    self.pool.send(rank, request)
            except WorkerLostError as lost:
                raise_lost(lost)
            self.drain()

    def close(self) -> None:
        """End the workers.

        Raises:
            RlpytError: what an environment raised in its ``close``.
        """
        self.collections.clear()
        try:
            self.pool.close()
        finally:
            if self.params is not None:
                self.params.block.close()


def raise_lost(lost: WorkerLostError) -> NoReturn:
    """Tell the user."""
    raise lost.error from lost.error.__cause__
