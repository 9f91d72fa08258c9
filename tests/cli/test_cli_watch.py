"""``rlpyt watch`` and ``rlpyt dashboard``: their screens, their keys, their ends."""

import fcntl
import json
import math
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from warm_python import start

from rlpyt.cli.watch_screen import WatchScreen
from rlpyt.cli.watch_table import bar, duration, quantity, runs_table, sparkline
from rlpyt.evaluation.live import LiveRun, Snapshot
from rlpyt.evaluation.live_thread import News
from rlpyt.evaluation.run_sources import FoundRun
from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import RunSpec

# --- numbers as text ---------------------------------------------------------------------------


def test_numbers():
    values = (0, 7, 12.345, -0.00123, 999.4, 999.7, 12_345, 999_999, 4.06e6, -2.5e9, math.inf)
    texts = ["0", "7", "12.3", "-0.00123", "999", "1k", "12.3k", "1M", "4.06M", "-2.5G", "inf"]
    assert [quantity(value) for value in values] == texts
    assert quantity(math.nan) == duration(math.nan) == bar(math.nan, 8) == ""
    assert [duration(s) for s in (0, 59.6, 3725, 90_000)] == [
        "0:00:00",
        "0:01:00",
        "1:02:05",
        "1d 01:00",
    ]
    assert bar(0.5, 8) == "━━━━────"
    assert bar(1.7, 4, ascii_only=True) == "####"


def test_sparkline():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 0, 7, 7], 2) == "▁█"
    assert sparkline([3, 3], 8) == "▄▄"
    assert sparkline([], 8) == ""
    assert sparkline([0, 1], 8, ascii_only=True) == "_%"


# --- the screen --------------------------------------------------------------------------------


def live_run(number: int, state: Any = "running", **found: Any) -> LiveRun:
    values = {"group": f"lr={number}", "env": "A-v1", "seed": number, "n_steps": 1000, **found}
    return LiveRun(
        found=FoundRun(
            id=number,
            name=f"lr={number}/run_{number}",
            run_dir=Path("nowhere"),
            state=state,
            **values,
        ),
        steps=500.0,
        steps_per_second=50.0,
        seconds=10.0,
        eta=10.0 if state == "running" else math.nan,
        last_return=12.5,
        history=[1, 2, 3],
        cpu=math.nan,
        memory=math.nan,
    )


def snapshot_of(runs: list[LiveRun], **values: Any) -> Snapshot:
    settings = {"directory": Path("data"), "at": time.time(), "n_launchers": 1, **values}
    return Snapshot(runs=runs, **settings)


class Screen:
    """A WatchScreen on a console of its own."""

    def __init__(self, runs: list[LiveRun], width: int = 120, height: int = 20, **values: Any):
        self.asked: list[tuple[str, int]] = []
        self.printed = "first\nsecond"
        self.screen = WatchScreen(lambda *each: self.asked.append(each), lambda _id: self.printed)
        self.console = Console(
            width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False
        )
        self.screen.update(News(snapshot_of(runs, **values), "", 1))

    def press(self, *keys: str) -> bool:
        return [self.screen.press(key) for key in keys][-1]

    @property
    def lines(self) -> list[str]:
        options = self.console.options.update(height=self.console.size.height)
        lines = self.console.render_lines(self.screen.render(options), options)
        return ["".join(segment.text for segment in line) for line in lines]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.mark.parametrize("n_runs", [0, 1, 5, 300])
@pytest.mark.parametrize(("width", "height"), [(60, 10), (80, 24), (99, 24), (200, 50), (20, 6)])
def test_every_terminal_is_filled_exactly(n_runs, width, height):
    screen = Screen([live_run(i, reason="x" * 300) for i in range(n_runs)], width, height)
    for keys in (["G"], ["enter"], ["escape", "?"], ["x", "s"], ["n", "/"]):
        screen.press(*keys)
        lines = screen.lines
        assert len(lines) <= height or height < 10
        assert all(len(line) <= width for line in lines)


def test_what_is_seen():
    done = live_run(2, "done", env="B-v1")
    failed = live_run(3, "failed", reason="exit code 1: boom [red]x")
    screen = Screen([live_run(1, slot=7), failed, live_run(4, "queued"), done])
    text = screen.text
    assert "data  4 runs: 1 running, 1 failed, 1 queued, 1 done" in text
    assert re.search(r"50 steps/s · 0:00:1\d left · 1 launcher\b", text)
    row = next(line for line in screen.lines if "running" in line and "A-v1" in line)
    assert re.search(r"▶ running +A-v1 · lr=1 +1 +7 +500/1k +━━━━──── +50 +12.5 +▁.█ +0:00:10", row)
    assert "boom" not in text
    screen.press("down")
    assert "exit code 1: boom [red]x" in screen.text


def test_a_long_directory_leaves_place_for_the_counts():
    line = Screen([live_run(1)], width=60, directory=Path("/long" * 30, "end")).lines[0]
    assert line.rstrip().endswith("end  1 run: 1 running")
    assert "…" in line


def test_narrow_terminals_keep_what_counts():
    head = Screen([live_run(1)], width=80).lines[3].split()
    assert {"state", "run", "steps", "steps/s", "return", "left"} <= set(head)
    assert not {"CPU", "memory", "slot"} & set(head)
    assert {"CPU", "memory", "slot"} <= set(Screen([live_run(1)], width=120).lines[3].split())


def test_a_long_name_keeps_its_end():
    run = live_run(1, group="a_very_long_setting=0.001, another_long_setting=42")
    row = Screen([run], width=80).lines[4]
    assert "…" in row
    assert "setting=42" in row


def test_scrolling_follows_the_selection():
    screen = Screen([live_run(i) for i in range(300)], height=24)

    def seen() -> list[int]:
        return [int(found) for found in re.findall(r"running +lr=(\d+)", screen.text)]

    n = len(seen())
    assert n > 10
    assert seen() == list(range(n))
    screen.press(*["j"] * n)
    assert seen() == list(range(1, n + 1))
    screen.press("G")
    assert seen()[-1] == 299
    assert f"{300 - n + 1}-300 of 300" in screen.text
    screen.press("page up", "k")
    assert seen()[0] == 300 - n - 2
    screen.press("home", "up")
    assert seen()[0] == 0


def test_the_selection_stays_with_its_run():
    runs = [live_run(i) for i in range(3)]
    screen = Screen(runs)
    assert screen.text
    screen.press("down")
    assert screen.text
    screen.screen.update(News(snapshot_of([runs[2], runs[0], runs[1]]), "", 2))
    assert "lr=1/run_1" in screen.lines[-3]
    screen.screen.update(News(snapshot_of([runs[2]]), "", 3))  # it has gone
    assert "lr=2/run_2" in screen.lines[-3]


def test_filter():
    screen = Screen([live_run(1), live_run(2, "failed", reason="No Memory"), live_run(3, "done")])
    screen.press("/", *"memox", "backspace")
    assert "filter: memo_" in screen.text
    screen.press("enter")
    assert "lr=2" in screen.text
    assert "lr=3" not in screen.text
    screen.press("/", *" done", "enter")
    assert "no run has all of these words" in screen.text
    screen.press("escape")
    assert "lr=3" in screen.text
    assert screen.press("/", "q", "escape")  # a letter there, no command
    assert not screen.press("q")


def test_stop_and_requeue_ask_first():
    screen = Screen([live_run(1), live_run(2, "failed")])
    assert screen.text
    screen.press("s")
    assert "stop lr=1/run_1? y/n" in screen.text
    screen.press("q")  # anything but y
    assert screen.asked == []
    screen.press("s", "y")
    assert "asked to stop" in screen.text
    screen.press("r", "y", "down", "s")
    assert "there is nothing to stop" in screen.text
    screen.press("R")
    assert screen.asked == [("stop", 1), ("requeue", 1), ("retry", 2)]
    screen.press("up", "R")
    assert "only failed and stopped" in screen.text


def test_the_run_that_is_asked_about_is_the_one_that_is_meant():
    """The table may change its order between the question and the answer."""
    runs = [live_run(1), live_run(2)]
    screen = Screen(runs)
    assert screen.text
    screen.press("s")
    screen.screen.update(News(snapshot_of(runs[::-1]), "", 2))
    assert screen.text
    screen.press("y")
    assert screen.asked == [("stop", 1)]
    screen.press("s")
    screen.screen.update(News(snapshot_of(runs[1:]), "", 3))  # it has gone
    assert screen.text
    assert "stop lr=1/run_1? y/n" in screen.text
    screen.press("y")
    assert screen.asked == [("stop", 1), ("stop", 1)]


def test_without_a_queue_nothing_can_be_asked():
    screen = Screen([live_run(1)], n_launchers=None)
    assert screen.text
    screen.press("s")
    assert "these runs are in no queue" in screen.text
    assert "launcher" not in screen.text


def test_output_scrolls_and_follows():
    screen = Screen([live_run(1)], height=10)
    screen.printed = "\n".join(f"line {i}" for i in range(50)) + "\n" + "long " * 60
    assert screen.text
    screen.press("t")
    assert "line 49" in screen.text
    screen.press("home")
    assert "line 0" in screen.text
    assert "lines below" in screen.text
    screen.press("end", "up", "escape")
    assert "lr=1/run_1" in screen.lines[-3]
    screen.printed = ""
    screen.press("enter")
    assert "it has printed nothing" in screen.text


def test_problems_and_age_are_told():
    screen = Screen([live_run(1, "queued")], n_launchers=0, at=time.time() - 61)
    screen.screen.update(replace_problem(screen, "the disk is gone"))
    assert "the disk is gone. what you see is 0:01:01 old" in screen.text
    assert "no launcher" in screen.text


def replace_problem(screen: Screen, problem: str) -> News:
    return screen.screen._news._replace(problem=problem)


def test_ascii_terminals():
    run = live_run(1)
    snapshot = snapshot_of([run, replace(run, found=replace(run.found, id=2, ending=True))])
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(runs_table(snapshot.runs, snapshot, 120, ascii_only=True))
    text = capture.get()
    assert text.isascii()
    assert "ending" in text
    assert "####----" in text


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    directory = tmp_path / "grid"
    with Queue(directory, create=True) as queue:
        queue.add(
            RunSpec(command=["true"], cwd="/", log_dir=f"lr={i}", run_ID=0, variant={"lr": i})
            for i in range(3)
        )
    run_dir = directory / "lr=1" / "run_0"
    run_dir.mkdir(parents=True)
    (run_dir / "output.log").write_text("what it has printed\x1b[2J\n")
    return directory


def test_once(rlpyt, grid, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for words in (["--once"], []):  # no terminal: once, too
        result = rlpyt("watch", grid, *words)
        assert result.code == 0
        assert "3 runs: 3 queued" in result.out
        assert "no launcher" in result.out
        assert "lr=2" in result.out
        assert "\x1b" not in result.out


def test_mistakes(rlpyt, tmp_path):
    assert "no such directory: nothing" in rlpyt("watch", "nothing").error
    assert "no such directory: nothing" in rlpyt("dashboard", "nothing").error
    assert "--interval" in rlpyt("watch", ".", "--interval", "0").error
    assert "not between 0 and 65535" in rlpyt("dashboard", ".", "--port", "70000").error
    result = rlpyt("watch", ".")
    assert (result.code, "no runs yet" in result.out) == (0, True)


class Terminal:
    """``rlpyt watch`` on a terminal of its own."""

    def __init__(self, *words: str | Path, code: str = "", **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 110, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.text = ""
        known = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        program = f"{code}\nimport sys\nfrom rlpyt.cli.main import main\nsys.exit(main())"
        self.process = start(
            ["-c", program, "watch", *words],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**known, "TERM": "xterm-256color", **environment},
            start_new_session=True,
        )

    def wait_for(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.text[-3000:]
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")

    def expect(self, text: str) -> None:
        """Wait until ``text`` is shown, and forget what was shown before."""
        self.wait_for(lambda: text in self.text)
        self.text = self.text[self.text.rindex(text) :]

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """Its exit code; the terminal must be as before."""
        self.wait_for(lambda: self.process.poll() is not None)
        while select.select([self.master], [], [], 0.1)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        assert termios.tcgetattr(self.slave) == self.before
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(*words: str | Path, **options: str) -> Terminal:
        made.append(Terminal(*words, **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"


def test_keys_in_a_terminal(terminal, grid):
    watch = terminal(grid, "--interval", "0.2")
    watch.expect("3 queued")
    watch.press("j")
    watch.expect("lr=1/run_0")
    watch.press("t")
    watch.expect("what it has printed")
    assert "\x1b[2J" not in watch.text  # what a run prints moves no cursor
    watch.press("\x1b")
    watch.expect("quit")
    watch.press("s")
    watch.expect("stop lr=1/run_0? y/n")
    watch.press("y")
    watch.expect("2 queued")
    with Queue(grid) as queue:
        assert [run.state for run in queue.runs()] == ["queued", "stopped", "queued"]
    watch.press("R")
    watch.expect("3 queued")
    watch.press("q")
    assert watch.end() == 0
    assert watch.text.rstrip().endswith(LEFT)


def test_the_terminal_is_as_before_however_it_ends(terminal, grid):
    """Signals, an exception in the middle, and NO_COLOR, side by side."""
    broken = "import rlpyt.cli.watch_screen as w\nw.WatchScreen._move = lambda *_: 1 / 0"
    ends = {
        signal.SIGTERM: terminal(grid, NO_COLOR="1"),
        signal.SIGINT: terminal(grid),
        0: terminal(grid, code=broken),
    }
    for watch in ends.values():
        watch.wait_for(lambda watch=watch: "3 queued" in watch.text)
    for number, watch in ends.items():
        if number:
            watch.process.send_signal(number)
        else:
            watch.press("j")
    assert ends[signal.SIGTERM].end() == 143
    assert ends[signal.SIGINT].end() == 130
    assert ends[0].end() == 1
    for watch in ends.values():
        assert watch.text.count(ENTERED) == watch.text.count(LEFT) == 1
        assert "\x1b[?25h" in watch.text[watch.text.rindex("\x1b[?25l") :]  # the cursor is back
    assert "ZeroDivisionError" in ends[0].text[ends[0].text.rindex(LEFT) :]
    colours = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert not colours.search(ends[signal.SIGTERM].text)
    assert colours.search(ends[signal.SIGINT].text)


def test_dashboard_command(grid):
    words = ["-m", "rlpyt", "dashboard", grid, "--no-open"]
    with start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{url}api/runs", timeout=10) as answer:
            assert "ready" in json.load(answer)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (143, "", "")
