"""Examples and the code in the documentation run."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from procgen_problem import procgen_problem

import rlpyt.launch
from rlpyt.launch import run_experiments
from rlpyt.utils.errors import RlpytError

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(
    (ROOT / "examples").glob("*.py"), key=lambda path: int(path.name.partition("_")[0])
)
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

    return run_script


def test_examples_are_numbered() -> None:
    numbers = [int(path.name.partition("_")[0]) for path in EXAMPLES]
    assert numbers == list(range(1, len(EXAMPLES) + 1))


def corner_of_a_grid(**settings: Any) -> Path:
    """The first and the last of its variants, once each; every run imports torch anew."""
    ends = {name: settings[name][:: len(settings[name]) - 1] for name in ("variants", "log_dirs")}
    return run_experiments(**{**settings, **ends, "runs_per_setting": 1})


def run_apart(path: Path, tmp_path: Path) -> None:
    """In a process of its own, for dm_control chooses once how it renders; without evaluations of
    whole episodes.
    """
    if find_spec("dm_control") is None or find_spec("shimmy") is None:
        pytest.skip("dm_control or shimmy is not installed (the extra dm-control)")
    if not any(map(find_library, ("EGL", "OSMesa"))) and "MUJOCO_GL" not in os.environ:
        pytest.skip("nothing to render with: neither EGL nor OSMesa is installed")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(path), "120"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (progress,) = (tmp_path / "data").rglob("progress.csv")
    assert "qLossAverage" in progress.read_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(
    path: Path,
    tmp_path: Path,
    run: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "sb3" in path.stem:  # logs as that library does
        pytest.importorskip("stable_baselines3", reason="the extra oracles is not installed")
        run(path, "2048")
        found_in = capsys.readouterr().out
        assert "intrinsic/" in found_in
        assert "mean return of the last" in found_in
        return
    if "pixels" in path.stem:
        run_apart(path, tmp_path)
        return
    is_atari = "atari" in path.stem
    if is_atari and find_spec("ale_py") is None:
        pytest.skip("ale-py is not installed (the extra atari)")
    if "minigrid" in path.stem and find_spec("minigrid") is None:
        pytest.skip("minigrid is not installed (the extra minigrid)")
    if "procgen" in path.stem and procgen_problem() is not None:
        with pytest.raises(RlpytError, match=r"rlpyt\[envpool\]|Qt 5"):
            run(path, "600")
        return
    monkeypatch.setattr(rlpyt.launch, "run_experiments", corner_of_a_grid)
    run(path, "160" if is_atari else "300" if "continuous" in path.stem else "600")
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
    few = "600" if page.stem == "continuous_control" else "1_024"
    code = re.sub(r"\b\d{2,3}_000\b", few, "\n".join(found))
    script = tmp_path / f"{page.stem}_page.py"
    script.write_text(code)
    run(script)
