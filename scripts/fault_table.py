"""Injects every fault of the fault table, and writes what came of it to docs/reliability.md.

    python scripts/fault_table.py                    all rows: most of an hour on two cores
    python scripts/fault_table.py --rows F01,F12     these only; the others keep their last result
    python scripts/fault_table.py --quick            without the tests that take minutes
    python scripts/fault_table.py --write            only writes the page, from docs/faults.json

Exit code 1 if a row of priority 0 is not green. Arguments after ``--`` go to pytest.
"""

import argparse
import json
import platform
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from fault_rows import ROWS, Row

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "faults.json"
PAGE = ROOT / "docs" / "reliability.md"
START, END = "<!-- the table: scripts/fault_table.py -->", "<!-- the end of the table -->"


@dataclass
class Found:
    """What the tests of one row said."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # test: why
    left_out: int = 0  # that take minutes, with --quick
    longest: float = 0.0  # seconds of one test, what it starts and its own training included
    on: str = field(default_factory=lambda: date.today().isoformat())
    machine: str = field(
        default_factory=lambda: (
            f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
            f"torch {torch.__version__}"
        )
    )


class Recorder:
    """A plugin of pytest that takes note of the rows' tests."""

    def __init__(self, rows: set[str], *, quick: bool) -> None:
        self.rows, self.quick = rows, quick
        self.found: defaultdict[str, Found] = defaultdict(Found)
        self._rows_of: dict[str, list[str]] = {}

    @pytest.hookimpl(tryfirst=True)  # before pytest's own choice by marker
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests of the rows that were asked for."""
        kept = []
        for item in items:
            marker = item.get_closest_marker("faults")
            told = [str(row) for row in marker.args] if marker else []
            unknown = set(told) - ROWS.keys()
            if unknown:
                raise pytest.UsageError(f"{item.nodeid}: no rows {sorted(unknown)}")
            if self.rows & set(told) and self.quick and item.get_closest_marker("slow"):
                for row in told:
                    self.found[row].left_out += 1
            elif self.rows & set(told):
                self._rows_of[item.nodeid] = told
                kept.append(item)
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test."""
        for row in self._rows_of.get(report.nodeid, ()):
            found = self.found[row]
            if report.skipped:
                found.skipped[report.nodeid] = reason(report)
            elif report.failed and report.nodeid not in found.failed:
                found.failed.append(report.nodeid)
            elif report.when == "call":
                found.passed += 1
            if report.when == "call":
                found.longest = max(found.longest, report.duration)


def reason(report: pytest.TestReport) -> str:
    """Why a test was skipped."""
    told = report.longrepr
    return str(told[2] if isinstance(told, tuple) else told).removeprefix("Skipped: ")


def run(rows: set[str], *, quick: bool, extra: list[str]) -> dict[str, Found]:
    """The tests of ``rows``, one after the other."""
    recorder = Recorder(rows, quick=quick)
    which = "faults and not bench and not gpu"
    arguments = ["-q", "-p", "no:xdist", "-m", which, str(ROOT / "tests"), *extra]
    pytest.main(arguments, plugins=[recorder])
    return dict(recorder.found)


def result(row: Row, found: dict[str, Any] | None) -> str:
    """A cell of the table."""
    if found is None:
        return f"not run: {row.absent or 'no test'}"
    if found["failed"]:
        return f"**{len(found['failed'])} of {len(found['failed']) + found['passed']} failed**"
    told = f"{found['passed']} passed"
    if found["left_out"]:
        told += f", {found['left_out']} that take minutes not run"
    reasons = sorted(set(found["skipped"].values()))
    return told + (f", {len(found['skipped'])} skipped: {'; '.join(reasons)}" if reasons else "")


def table(results: dict[str, Any]) -> str:
    """In Markdown."""
    lines = [
        "| row | fault | what must come of it | within | priority | tests | longest | on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        found = results.get(name)
        took = f"{found['longest']:.1f} s | {found['on']}" if found else "- | -"
        lines.append(
            f"| {name} | {row.fault} | {row.outcome} | {row.within} | P{row.priority} "
            f"| {result(row, found)} | {took} |"
        )
    machines = sorted({found["machine"] for found in results.values()})
    return "\n".join([*lines, "", f"Run on {'; '.join(machines)}."])


def write(results: dict[str, Any]) -> None:
    """Put the table where the page has its place for it."""
    text = PAGE.read_text()
    before, rest = text.split(START)
    _old, after = rest.split(END)
    PAGE.write_text(f"{before}{START}\n\n{table(results)}\n\n{END}{after}")


def main() -> int:
    """The command."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default=",".join(ROWS), help="F01,F02,...; all by default")
    parser.add_argument("--quick", action="store_true", help="without tests that take minutes")
    parser.add_argument("--write", action="store_true", help="run nothing, write the page")
    parser.add_argument("extra", nargs="*", metavar="ARGUMENT", help="of pytest, after --")
    arguments = parser.parse_args()
    rows = {row for row in arguments.rows.split(",") if row}
    if unknown := sorted(rows - ROWS.keys()):
        parser.error(f"there are no rows {', '.join(unknown)}; there are F01 to F50")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not arguments.write:
        began = time.monotonic()
        found = run(rows, quick=arguments.quick, extra=arguments.extra)
        results |= {row: asdict(one) for row, one in found.items()}
        RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
        print(f"{len(found)} rows in {(time.monotonic() - began) / 60:.1f} minutes")
    write(results)
    red = [
        name
        for name, row in ROWS.items()
        if row.priority == 0
        and (name not in results or results[name]["failed"] or not results[name]["passed"])
    ]
    if red:
        print(f"not green, and of priority 0: {', '.join(red)}", file=sys.stderr)
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
