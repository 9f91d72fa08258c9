"""The fault table: every row has tests or says why not, and a failure is seen in the page."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import fault_rows
    import fault_table

    yield fault_rows, fault_table
    for name in ("fault_rows", "fault_table"):
        sys.modules.pop(name)


def marked_rows() -> set[str]:
    """What the tests say that they inject."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.faults":
                found |= {ast.literal_eval(argument) for argument in node.args}
    return found


def test_every_row_has_a_test_or_says_why_not(tables):
    rows = tables[0].ROWS
    assert list(rows) == [f"F{number:02}" for number in range(1, 51)]
    marked = marked_rows()
    assert marked <= rows.keys()
    assert {name for name, row in rows.items() if not row.absent} == marked
    assert all(row.priority > 0 for row in rows.values() if row.absent)


def test_the_page_tells_what_failed_and_what_was_left_out(tables):
    found = {
        "skipped": {},
        "left_out": 0,
        "longest": 1.25,
        "on": "2026-01-02",
        "machine": "a machine",
    }
    page = tables[1].table(
        {
            "F01": {**found, "passed": 3, "failed": ["tests/test_x.py::test_y"]},
            "F02": {**found, "passed": 2, "failed": [], "skipped": {"t": "no namespaces"}},
            "F12": {**found, "passed": 2, "failed": [], "left_out": 4},
        }
    )
    lines = {line.split(" | ")[0].strip("| "): line for line in page.splitlines()}
    assert "**1 of 4 failed**" in lines["F01"]
    assert "2 passed, 1 skipped: no namespaces | 1.2 s | 2026-01-02" in lines["F02"]
    assert "not run: no test" in lines["F03"]
    assert "2 passed, 4 that take minutes not run" in lines["F12"]
    assert "not run: needs an accelerator" in lines["F29"]


def test_the_page_of_the_tree_is_what_its_results_say(tables, tmp_path, monkeypatch):
    page = tmp_path / "reliability.md"
    page.write_text(tables[1].PAGE.read_text())
    monkeypatch.setattr(tables[1], "PAGE", page)
    results = tables[1].json.loads(tables[1].RESULTS.read_text())
    tables[1].write(results)
    assert page.read_text() == (ROOT / "docs" / "reliability.md").read_text()
