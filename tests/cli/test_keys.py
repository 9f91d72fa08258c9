"""Keys of a terminal."""

import os
import pty
import termios
import time

import pytest

from rlpyt.cli.keys import Keyboard, keys_in


def test_names():
    text = "a\x1b[A\x1bOB\r\n\x7fé\x1b[5~\x1b[1;5C\x01\x1bq\x1b"
    keys = [
        "a",
        "up",
        "down",
        "enter",
        "enter",
        "backspace",
        "é",
        "page up",
        "escape",
        "q",
        "escape",
    ]
    assert keys_in(text) == keys


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_each_key_at_once_unseen_and_the_terminal_as_before(terminal):
    master, slave = terminal
    before = termios.tcgetattr(slave)
    with Keyboard(slave) as keyboard:
        assert keyboard.read(0) == []
        os.write(master, b"j\x1a")  # Ctrl-Z neither stops nor counts
        assert keyboard.read(5) == ["j"]
        os.write(master, "é".encode()[:1])
        assert keyboard.read(5) == []
        os.write(master, "é".encode()[1:])
        assert keyboard.read(5) == ["é"]
        start = time.monotonic()
        os.write(master, b"\x1b")
        assert keyboard.read(5) == ["escape"]
        assert time.monotonic() - start < 2
        os.set_blocking(master, False)
        with pytest.raises(BlockingIOError):
            os.read(master, 10)  # nothing was echoed
        assert termios.tcgetattr(slave) != before
    assert termios.tcgetattr(slave) == before


def test_a_terminal_that_is_gone():
    master, slave = pty.openpty()
    with Keyboard(slave) as keyboard:
        os.close(master)
        assert keyboard.read(5) == ["end of input"]
    os.close(slave)
