"""Signals to commands that show something until they are ended."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["noted_signals"]


@contextmanager
def noted_signals(*numbers: int, then: Callable[[], object] | None = None) -> Iterator[list[int]]:
    """Inside, these signals end nothing: their numbers come into the list, and ``then`` is called,
    in between two steps of the main thread.
    """
    came: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        came.append(signum)
        if then is not None:
            then()

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
