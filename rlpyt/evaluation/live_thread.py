"""A thread that looks at runs again and again, so that nobody who shows them waits for a disk."""

import threading
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Literal, NamedTuple, Self, final

from rlpyt.evaluation.live import LiveView, Snapshot
from rlpyt.launch.queue import Queue
from rlpyt.utils.errors import RlpytError

__all__ = ["LiveThread", "News", "RunRequest"]

RunRequest = Literal["stop", "requeue", "retry"]
"""What can be asked of a queue for one of its runs."""

_END = 2.0  # seconds to wait for the thread: it may be waiting for a locked queue


class News(NamedTuple):
    """What the last look has found."""

    snapshot: Snapshot | None = None  # the last that could be made; None before the first
    problem: str = ""  # why there is no newer one, or what was asked has not been done
    number: int = 0  # rises with every look


@final
class LiveThread:
    """Context in which ``news`` is never much older than ``period`` seconds.

    Where the queue is locked by others or the disk does not answer, it is: then ``news`` stays.
    """

    def __init__(self, view: LiveView, period: float = 1.0) -> None:
        """Look at ``view``, which no other thread may do meanwhile."""
        self._news = News()
        self._failure: BaseException | None = None
        self._view = view
        self._period = period
        self._requests: SimpleQueue[tuple[RunRequest, int] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="live", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._requests.put(None)
        self._thread.join(_END)

    @property
    def news(self) -> News:
        """What the last look has found; an error in the thread that is a mistake of this program is
        raised here.
        """
        if self._failure is not None:
            raise self._failure
        return self._news

    def ask(self, request: RunRequest, number: int) -> None:
        """Ask the queue to do something with the run of that number; returns at once."""
        self._requests.put((request, number))

    def _work(self) -> None:
        try:
            asked: tuple[RunRequest, int] | None = None
            while True:
                self._news = self._look(asked)
                try:
                    asked = self._requests.get(timeout=self._period)
                except Empty:
                    asked = None
                else:
                    if asked is None:
                        return
        except BaseException as error:  # for those who wait for news
            self._failure = error
        finally:
            self._view.close()

    def _look(self, asked: tuple[RunRequest, int] | None) -> News:
        problem, snapshot = "", self._news.snapshot
        try:
            if asked is not None:
                self._do(*asked)
        except RlpytError as error:
            problem = error.what
        try:
            snapshot = self._view.look()
        except (RlpytError, OSError) as error:
            problem = error.what if isinstance(error, RlpytError) else str(error)
        return News(snapshot, problem, self._news.number + 1)

    def _do(self, request: RunRequest, number: int) -> None:
        with Queue(self._view.directory) as queue:
            {"stop": queue.stop, "requeue": queue.requeue, "retry": queue.retry}[request]([number])
