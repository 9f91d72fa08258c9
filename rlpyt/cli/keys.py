"""Keys of a terminal, one at a time, as they are pressed."""

import codecs
import os
import re
import select
import termios
import tty
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, final

__all__ = ["Keyboard", "keys_in"]

_NAMES = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\b": "backspace",
    "\x04": "end of input",
}
_KEY = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|.", re.DOTALL)
_UNFINISHED = re.compile(r"\x1b(\[[0-?]*|O)?$")
_REST = 0.05  # seconds for the rest of a key that is several bytes


def keys_in(text: str) -> list[str]:
    """The keys that were pressed: characters as they are, others by name (``up``, ``enter``,
    ``escape``); unknown ones are left out.
    """
    keys = [_NAMES.get(found, found) for found in _KEY.findall(text)]
    return [key for key in keys if key.isprintable() and key]


@final
class Keyboard:
    """Context in which a terminal gives each key at once and shows none; then it is as before.

    Ctrl-C still gives SIGINT; Ctrl-Z does nothing, since it would leave the terminal like this.
    """

    def __init__(self, descriptor: int) -> None:
        """Of the terminal that is open as ``descriptor``."""
        self._descriptor = descriptor
        self._before: list[Any] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        settings = termios.tcgetattr(self._descriptor)
        settings[6][termios.VSUSP] = os.fpathconf(self._descriptor, "PC_VDISABLE")
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, settings)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def read(self, timeout: float) -> list[str]:
        """What has been pressed, waiting up to ``timeout`` seconds for the first key; ``end of
        input`` where the terminal is gone.
        """
        text = self._text(timeout)
        if _UNFINISHED.search(text):  # the key Escape, or the beginning of another
            text += self._text(_REST)
        return keys_in(text)

    def _text(self, timeout: float) -> str:
        if not select.select([self._descriptor], [], [], timeout)[0]:
            return ""
        try:
            data = os.read(self._descriptor, 4096)
        except OSError:
            data = b""
        return self._decoder.decode(data) if data else "\x04"
