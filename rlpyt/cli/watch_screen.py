"""The screen of ``rlpyt watch``: what each key does, and what is shown."""

import time
from collections.abc import Callable
from itertools import chain
from typing import Literal, final

from rich.cells import chop_cells
from rich.console import ConsoleOptions, Group, RenderableType
from rich.text import Text

from rlpyt.cli.watch_table import duration, runs_table, summary_lines
from rlpyt.evaluation.live import LiveRun
from rlpyt.evaluation.live_thread import News, RunRequest

__all__ = ["WatchScreen"]

_KEYS = "↑↓ select  enter output  s stop  r requeue  R retry  / filter  ? help  q quit"
_ASCII_KEYS = _KEYS.replace("↑↓", "j k")
_HELP = (
    ("↑ ↓, k j", "select a run"),
    ("page up/down, home g, end G", "further"),
    ("enter, t", "what the run has printed; escape: back"),
    ("s", "stop: it saves and ends, or leaves the queue; R continues it"),
    ("r", "requeue: to the end of the queue; a run that goes on saves and ends first"),
    ("R", "retry: failed and stopped runs wait again"),
    ("/", "show the runs with all the words typed: a state, a setting, a seed, a reason"),
    ("escape", "show all again"),
    ("q, ctrl-c", "quit; runs and launchers go on"),
)
_DONE = {
    "stop": "asked to stop",
    "requeue": "sent to the end of the queue",
    "retry": "queued again",
}
_STALE = 5.0  # seconds after which the age of what is shown is told

_Mode = Literal["table", "output", "filter", "confirm", "help"]


@final
class WatchScreen:
    """Knows which run is selected and what is asked; draws itself for any size of terminal."""

    def __init__(
        self, ask: Callable[[RunRequest, int], None], output: Callable[[int], str | None]
    ) -> None:
        """``ask`` is called with what is to be done with a run, ``output`` for what it printed."""
        self._ask = ask
        self._output = output
        self._news = News()
        self._mode: _Mode = "table"
        self._selected: int | None = None  # number of the run
        self._first = 0  # line of the table that is on top
        self._page = 1  # lines of the table that are seen
        self._back = 0  # lines between the end of the output and the last that is seen
        self._filter = ""
        self._asked: tuple[RunRequest, LiveRun] | None = None  # waits for a yes
        self._message = ""

    def update(self, news: News) -> None:
        """Show what the last look has found."""
        self._news = news

    @property
    def _runs(self) -> list[LiveRun]:
        """Those that the filter lets through."""
        snapshot = self._news.snapshot
        if snapshot is None:
            return []
        words = self._filter.lower().split()
        return [run for run in snapshot.runs if all(word in _searched(run) for word in words)]

    def _run(self) -> LiveRun | None:
        """The one that is selected."""
        return next((run for run in self._runs if run.found.id == self._selected), None)

    def press(self, key: str) -> bool:
        """Do what a key stands for; False: quit."""
        self._message = ""
        if key == "end of input":
            return False
        if self._mode == "filter":
            self._type(key)
        elif self._mode == "confirm":
            self._mode = "table"
            if key in ("y", "Y"):
                self._request()
        elif self._mode == "output" and key not in ("escape", "q", "enter", "t"):
            moves = {"up": 1, "k": 1, "down": -1, "j": -1}
            moves |= {"page up": self._page, "page down": -self._page}
            moves |= {"home": 10**9, "g": 10**9, "end": -(10**9), "G": -(10**9)}
            self._back = max(0, self._back + moves.get(key, 0))
        elif self._mode != "table":
            self._mode = "table"
        else:
            return self._press_in_table(key)
        return True

    def _press_in_table(self, key: str) -> bool:
        requests: dict[str, RunRequest] = {"s": "stop", "r": "requeue", "R": "retry"}
        moves = {"up": -1, "k": -1, "down": 1, "j": 1}
        moves |= {"page up": -self._page, "page down": self._page}
        moves |= {"home": -(10**9), "g": -(10**9), "end": 10**9, "G": 10**9}
        if key == "q":
            return False
        if key in moves:
            self._move(moves[key])
        elif key in ("enter", "t") and self._run() is not None:
            self._mode, self._back = "output", 0
        elif key in requests:
            self._prepare(requests[key])
        elif key == "/":
            self._mode = "filter"
        elif key == "escape":
            self._filter = ""
        elif key == "?":
            self._mode = "help"
        return True

    def _move(self, by: int) -> None:
        numbers = [run.found.id for run in self._runs]
        if numbers:
            place = numbers.index(self._selected) if self._selected in numbers else 0
            self._selected = numbers[min(max(0, place + by), len(numbers) - 1)]

    def _type(self, key: str) -> None:
        if key == "escape":
            self._filter = ""
        if key in ("escape", "enter"):
            self._mode = "table"
        elif key == "backspace":
            self._filter = self._filter[:-1]
        elif len(key) == 1:
            self._filter += key

    def _prepare(self, request: RunRequest) -> None:
        """Ask for a yes, but not for what ends nothing."""
        run, snapshot = self._run(), self._news.snapshot
        if run is None or snapshot is None:
            self._message = "select a run first"
        elif snapshot.n_launchers is None:
            self._message = "these runs are in no queue: end them where they were started"
        elif request == "stop" and run.found.state not in ("running", "queued"):
            self._message = f"it is {run.found.state}: there is nothing to stop"
        elif request == "retry" and run.found.state not in ("failed", "stopped"):
            self._message = f"it is {run.found.state}: only failed and stopped runs are tried again"
        else:
            self._asked = request, run
            if request == "retry":
                self._request()
            else:
                self._mode = "confirm"

    def _request(self) -> None:
        """Of the run that was named, whatever the table has done meanwhile."""
        if self._asked is not None:
            request, run = self._asked
            self._ask(request, run.found.id)
            self._message = f"{run.found.name}: {_DONE[request]}"

    def render(self, options: ConsoleOptions) -> RenderableType:
        """Exactly as many lines as the terminal has."""
        height, ascii_only = options.height or options.size.height, options.ascii_only
        width = options.max_width
        snapshot = self._news.snapshot
        if snapshot is None:
            return Text(self._news.problem or "reading ...", no_wrap=True, overflow="ellipsis")
        if self._mode == "output":
            return self._printed(width, height)
        if self._mode == "help":
            lines = [Text.assemble((f"{keys:28}", "bold"), what) for keys, what in _HELP]
            return _clipped(Text("rlpyt watch", style="bold"), Text(), *lines)
        if self._run() is None:
            self._selected = next((run.found.id for run in self._runs), None)
        head = [*summary_lines(snapshot, width), *self._problems()]
        foot = [*self._details(), self._prompt(ascii_only)]
        self._page = max(1, height - len(head) - len(foot) - 2)
        runs = self._seen()
        table = runs_table(runs, snapshot, width, selected=self._selected, ascii_only=ascii_only)
        if not runs:
            why = "no run has all of these words" if self._filter else "no runs yet"
            return Group(_clipped(*head, Text(), Text(why), Text()), _clipped(*foot))
        space = [Text()] * (self._page - len(runs))
        return Group(_clipped(*head, Text()), table, _clipped(*space, *foot))

    def _seen(self) -> list[LiveRun]:
        """As many runs as there is place for, the selected one among them."""
        runs = self._runs
        place = next((i for i, run in enumerate(runs) if run.found.id == self._selected), 0)
        self._first = min(max(self._first, place - self._page + 1), place)
        self._first = max(0, min(self._first, len(runs) - self._page))
        return runs[self._first : self._first + self._page]

    @property
    def age(self) -> int:
        """Seconds since the last look that could be made; 0 while that is as it should be."""
        snapshot = self._news.snapshot
        age = 0.0 if snapshot is None else time.time() - snapshot.at
        return round(age) if age > _STALE else 0

    def _problems(self) -> list[Text]:
        told = [self._news.problem] if self._news.problem else []
        told += [f"what you see is {duration(self.age)} old"] if self.age else []
        return [Text(". ".join(told), style="bold red")] if told else []

    def _details(self) -> list[Text]:
        """Two lines on the run that is selected."""
        run = self._run()
        if run is None:
            return [Text(), Text()]
        found = run.found
        parts = [found.name]
        parts += [f"attempt {found.attempts}"] if found.attempts > 1 else []
        parts += [f"on {found.host}"] if found.host else []
        parts += [f"process {found.pid}"] if found.pid is not None else []
        n = len(self._runs)
        where = f"  {self._first + 1}-{min(n, self._first + self._page)} of {n}"
        line = Text(" · ".join(parts)).append(where if n > self._page else "", style="dim")
        return [line, Text(found.reason, style="red" if found.state == "failed" else "")]

    def _prompt(self, ascii_only: bool) -> Text:
        if self._mode == "filter":
            return Text.assemble(("filter: ", "bold"), self._filter, ("_", "blink"))
        if self._mode == "confirm" and self._asked is not None:
            request, run = self._asked
            return Text(f"{request} {run.found.name}? y/n", style="bold yellow")
        if self._message:
            return Text(self._message, style="bold")
        shown = Text(f"filter: {self._filter}  ", style="bold") if self._filter else Text()
        return shown.append(_ASCII_KEYS if ascii_only else _KEYS, style="not bold dim")

    def _printed(self, width: int, height: int) -> RenderableType:
        run = self._run()
        text = None if run is None else self._output(run.found.id)
        lines = ["(it has printed nothing)"]
        if text:
            lines = list(chain(*(chop_cells(line, width) or [""] for line in text.split("\n"))))
        self._page = max(1, height - 2)
        self._back = min(self._back, max(0, len(lines) - self._page))
        end = len(lines) - self._back
        shown = lines[max(0, end - self._page) : end]
        name = "this run is gone" if run is None else f"{run.found.name}  {run.found.state}"
        title = Text(name, style="bold")
        space = [""] * (self._page - len(shown))
        foot = Text("↑↓ scroll  escape back" + f"  ({self._back} lines below)" * bool(self._back))
        foot.stylize("dim")
        return _clipped(title, *map(Text, [*shown, *space]), foot)


def _searched(run: LiveRun) -> str:
    found = run.found
    seed = "" if found.seed is None else f"seed={found.seed}"
    parts = (found.state, found.name, found.group, found.env, seed, found.host, found.reason)
    return " ".join(parts).lower()


def _clipped(*lines: Text) -> Group:
    """Each on one line of the terminal."""
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)
