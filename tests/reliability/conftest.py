"""Every test here says that nothing is left behind; small runs, in this process and others."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from post_conditions import AssertClean, descendants, kill, reap, subreaper

# How two runs are compared, and fakes of services; pytest adds the folders of collected files only.
sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("runners", "logging")]


@pytest.fixture(autouse=True)
def assert_clean(request: pytest.FixtureRequest) -> Iterator[AssertClean]:
    """``assert_clean(run_dir, state, error)``, which every test here calls."""
    with subreaper():
        clean, failed = AssertClean(), request.session.testsfailed
        yield clean
        kill(descendants() - clean.processes)  # of a test that failed
        reap(clean.children)
        if request.session.testsfailed == failed:
            assert clean.used, "call assert_clean(...) in the test"
