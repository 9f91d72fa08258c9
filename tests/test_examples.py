"""Examples, experiments and the code in the documentation run."""

import re
import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rlpyt.runners import MinibatchRl
from rlpyt.utils.config import config_dict

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").glob("*_*.py"))
EXPERIMENTS.remove(ROOT / "experiments" / "command_line.py")
PAGES = sorted(
    page
    for page in (ROOT / "docs").glob("*.md")
    if "\n```python\n" in page.read_text(encoding="utf-8")
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a script with arguments in ``tmp_path``; in this process, because imports are slow."""

    def run_script(path: Path, *arguments: str) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
        runpy.run_path(str(path), run_name="__main__")
        sys.modules.pop("command_line", None)

    return run_script


def test_examples_are_numbered() -> None:
    assert [path.name.partition("_")[0] for path in EXAMPLES] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, tmp_path: Path, run: Callable[..., None]) -> None:
    run(path, "600")
    found = list(tmp_path.rglob("progress.csv"))
    assert found
    for progress in found:
        header, *rows = progress.read_text().splitlines()
        assert "ReturnAverage" in header
        assert rows
        assert progress.is_relative_to(tmp_path / "data")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_a_page_runs(page: Path, tmp_path: Path, run: Callable[..., None]) -> None:
    """A page's blocks make one script, here with fewer steps."""
    found = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    code = re.sub(r"\b\d{2,3}_000\b", "1_024", "\n".join(found))
    script = tmp_path / f"{page.stem}_page.py"
    script.write_text(code)
    run(script)


def experiments_of(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, Callable[[], MinibatchRl]]:
    monkeypatch.syspath_prepend(str(path.parent))
    experiments: Mapping[str, Callable[[], MinibatchRl]]
    experiments = runpy.run_path(str(path), run_name=path.stem)["EXPERIMENTS"]
    del sys.modules["command_line"]
    return experiments


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_builds_runners(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every runner is a configuration: nothing optional is imported, no environment made."""
    for build in experiments_of(path, monkeypatch).values():
        runner = build()
        assert runner == build()
        assert runner.n_steps >= 100_000
        assert config_dict(runner)["algo"]["class"].endswith(path.stem.partition("_")[0].upper())


def test_experiment_runs_from_the_command_line(tmp_path: Path, run: Callable[..., None]) -> None:
    path = ROOT / "experiments" / "a2c_classic.py"
    run(path, "acrobot", "--seed", "3", "--steps", "800", "--out", "here")
    params = (tmp_path / "here" / "params.json").read_text()
    assert '"seed": 3' in params
    assert '"n_steps": 800' in params
    assert "Acrobot-v1" in params
