"""The launcher: it takes runs from the queue into free slots, and says what became of them."""

import select
import signal
import time
from collections.abc import Callable
from typing import final

from rlpyt.launch.attendance import Attendance
from rlpyt.launch.child import Child
from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import QueuedRun
from rlpyt.launch.run_slot import RunSlot, run_slots
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.interrupt import StopRequest, stop_on_signals
from rlpyt.utils.processes import ProcessIdentity

__all__ = ["Launcher"]

_TICK = 0.5  # seconds between two looks at what people ask for
_BEAT = 10.0  # seconds between two signs of life, and looks for launchers that give none
_USAGE = 2  # exit code of a mistake in what was asked for: the next attempt would make it too


@final
class Launcher:
    """Drains a queue over the slots of an affinity code, on this machine.

    Several may drain one queue, also on machines that share its directory.
    """

    def __init__(
        self,
        queue: Queue,
        affinity_code: str = "auto",
        *,
        grace: float = 60.0,
        tell: Callable[[str], None] = print,
        set_egl_device: bool = False,
    ) -> None:
        """``grace`` are the seconds that a run has to save and end when it is asked to; ``tell``
        is given a line for everything that happens; with ``set_egl_device`` runs draw on the
        accelerator that they have.

        Raises:
            RlpytError: ``affinity``, for a code that is none or does not fit this machine.
        """
        self._queue = queue
        self._slots = run_slots(affinity_code, set_egl_device=set_egl_device)
        self._code = affinity_code
        self._grace = grace
        self._tell = tell
        self._children: list[Child] = []
        self._kill_at: dict[int, float] = {}  # by number of the run: time.monotonic
        self._next_tick = self._next_beat = 0.0

    def drain(self) -> None:
        """Run all that is queued, and what comes to it meanwhile; then return.

        At SIGINT and SIGTERM no run is taken any more, those that go on save and end, and stand in
        the queue again; a second signal ends them at once.

        Raises:
            SystemExit: after a signal, with the code that shells expect: 130 or 143.
        """
        with stop_on_signals() as stop, self._attend(stop) as attendance:
            try:
                while self._step(attendance, stop):
                    pass
            finally:
                for child in self._children:  # only where something went wrong
                    child.kill()
                for child in self._children:
                    self._close(child, attendance, is_stopping=True)
        if stop:
            raise SystemExit(stop.exit_code)

    def _attend(self, stop: StopRequest) -> Attendance:
        """The attendance, which waits while the disk is full, until somebody asks for the end."""
        is_told = False

        def wait(error: RlpytError) -> None:
            nonlocal is_told
            if stop:
                raise error
            if not is_told:
                self._tell(
                    f"{error.what}: nothing can be noted, runs go on - make room on the disk"
                )
            is_told = True
            time.sleep(_TICK)

        return self._queue.attend(self._code, wait)

    def _step(self, attendance: Attendance, stop: StopRequest) -> bool:
        """Look once at everything; False when nothing is left to do."""
        is_waiting = self._look_around(attendance, stop)
        if not stop:
            self._fill(attendance)
        if not self._children and (stop or not is_waiting):
            return False
        self._wait()
        for child in [child for child in self._children if child.has_ended]:
            self._close(child, attendance, is_stopping=bool(stop))
        return True

    def _look_around(self, attendance: Attendance, stop: StopRequest) -> bool:
        """See to what people ask for, and to launchers that have ended; whether runs of theirs go
        on, and will have to be taken over.
        """
        now = time.monotonic()
        if now < self._next_tick and self._children:
            return False
        self._next_tick = now + _TICK
        wanted = attendance.wanted()
        for child in self._children:
            if (stop or child.run.id in wanted) and child.run.id not in self._kill_at:
                child.terminate()
                self._kill_at[child.run.id] = now + self._grace
            elif self._kill_at.get(child.run.id, now + 1.0) <= now:
                child.kill()
        if now >= self._next_beat:
            self._next_beat = now + _BEAT
            if not attendance.beat():
                what = "another launcher has taken over: this one gave no sign of life for long"
                where = str(self._queue.directory)
                raise RlpytError("queue", what, where=where, hint="start it again")
        found = attendance.recover()
        for run in found.back:
            self._tell(f"{run.name}: back in the queue, its launcher was ended")
        return found.n_left > 0

    def _fill(self, attendance: Attendance) -> None:
        taken = {child.slot.number for child in self._children}
        for slot in self._slots:
            if slot.number not in taken:
                run = attendance.take(slot.number)
                if run is None:
                    return
                self._start(run, slot, attendance)

    def _start(self, run: QueuedRun, slot: RunSlot, attendance: Attendance) -> None:
        try:
            child = Child(run, self._queue.directory, slot)
        except RlpytError as error:
            attendance.ended(run, "failed", reason=f"{error.what} - {error.hint}", is_failure=True)
            self._tell(f"{run.name}: {error}")
            return
        self._children.append(child)
        attendance.started(run, ProcessIdentity.of(child.pid))
        again = f", attempt {run.attempts}" * (run.attempts > 1)
        self._tell(f"{run.name}: started in slot {slot.number}, process {child.pid}{again}")
        self._queue.write_launched()

    def _wait(self) -> None:
        """Until one ends, or it is time to look around."""
        descriptors = [child.descriptor for child in self._children if child.descriptor is not None]
        if len(descriptors) == len(self._children):
            select.select(descriptors, [], [], max(0.0, self._next_tick - time.monotonic()))
        else:
            time.sleep(0.02)

    def _close(self, child: Child, attendance: Attendance, *, is_stopping: bool) -> None:
        run, exit_code = child.run, child.close()
        self._children = [other for other in self._children if other is not child]
        self._kill_at.pop(run.id, None)
        wanted = attendance.wanted().get(run.id)
        how = _how(exit_code)
        if exit_code == 0:
            attendance.ended(run, "done", exit_code=0)
            self._tell(f"{run.name}: done")
        elif wanted is not None or is_stopping:
            state = wanted or "queued"
            reason = "its launcher was stopped" if wanted is None else "asked for"
            at_end = wanted == "queued"
            attendance.ended(run, state, exit_code=exit_code, reason=reason, at_end=at_end)
            self._tell(f"{run.name}: {state}, {how}")
        else:
            reason = f"{how}: {child.last_words()}".rstrip(": ")
            tried_again = exit_code != _USAGE and run.failures < run.spec.retries
            state = "queued" if tried_again else "failed"
            attendance.ended(run, state, exit_code=exit_code, reason=reason, is_failure=True)
            left = run.spec.retries - run.failures
            again = f"; {left} more attempt{'s' * (left > 1)}" if tried_again else ""
            self._tell(f"{run.name}: FAILED, {reason}{again}")


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"ended by signal {-exit_code}"
