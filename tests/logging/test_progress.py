import io
import math
import re

import pytest
from rich.console import Console

from rlpyt.logging.progress import ProgressBar


def test_without_a_terminal_one_plain_line_per_report():
    out = io.StringIO()
    console = Console(file=out, width=40)
    with ProgressBar(1000, console=console) as bar:
        for steps in range(0, 500, 50):
            bar.update(steps)
        assert out.getvalue() == ""
        bar.report(500, 12.25)
        bar.report(1000, math.nan)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert re.fullmatch(
        r"500/1,000 steps \(50%\), [\d,]+ steps/s, return 12\.25, \d:\d\d:\d\d left", lines[0]
    )
    assert "return -" in lines[1]


def test_on_a_terminal_the_bar_shares_the_console_with_tables():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with ProgressBar(1000, console=console, initial_steps=400) as bar:
        bar.update(500)
        console.print("a table")
        bar.report(750, 12.25)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
    assert "a table" in shown
    assert "750/1,000 steps" in shown
    assert "75%" in shown
    assert "return 12.25" in shown
    assert "left" not in shown


def test_the_rate_counts_this_part_of_the_run_only(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr("rlpyt.logging.progress.time.monotonic", lambda: clock[0])
    out = io.StringIO()
    with ProgressBar(1000, console=Console(file=out, width=200), initial_steps=400) as bar:
        bar.report(400, 0.0)
        clock[0] += 10
        bar.report(600, 1.0)
    first, second = out.getvalue().splitlines()
    assert first.endswith("- left")
    assert "20 steps/s" in second
    assert second.endswith("0:00:20 left")
