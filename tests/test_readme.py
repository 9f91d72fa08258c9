"""The README keeps its promises: two one-line commands, a script, links."""

import re
import subprocess
import time
from pathlib import Path

import pytest

from rlpyt.cli.commands import COMMANDS
from rlpyt.cli.main import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(heading: str) -> list[str]:
    """The contents of the fenced blocks below ``## heading``."""
    section = re.split(r"^## ", README, flags=re.MULTILINE)
    (found,) = [part for part in section if part.splitlines()[0] == heading]
    return re.findall(r"^```\w*\n(.*?)^```$", found, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("heading", ["Quick start", "Tests"])
def test_commands_are_one_line_that_installs_with_the_constraints(heading: str) -> None:
    (block,) = blocks(heading)
    assert len(block.splitlines()) == 1
    assert block.startswith("python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ")
    assert subprocess.run(["bash", "-n", "-c", block], check=False).returncode == 0


def test_quick_start_trains_and_draws_and_can_be_repeated() -> None:
    command = blocks("Quick start")[0]
    assert "rlpyt train ppo CartPole-v1 --steps 100000 --seed 0 " in command
    assert "rlpyt plot " in command
    assert "--out data/curve.png" in command  # a drawing may be overwritten, a run may not
    assert "--out" not in command.partition("rlpyt train")[2].partition("&&")[0]


def test_commands_of_the_quick_start_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part after the installation, with fewer steps; twice, as a reader may."""
    monkeypatch.chdir(tmp_path)
    _venv, _pip, train, plot = blocks("Quick start")[0].strip().split(" && ")
    for turn in range(2):
        time.sleep(1.1 * turn)  # run directories are named by the second
        for command in (train.replace("100000", "512"), plot):
            program, *arguments = command.split()
            assert program == ".venv/bin/rlpyt"
            assert main(arguments) == 0
    assert (tmp_path / "data" / "curve.png").stat().st_size > 1000
    assert len(list(tmp_path.rglob("progress.csv"))) == 2
    assert len(list(tmp_path.rglob("run_0/curve.png"))) == 2


def test_script_is_the_first_example_of_twelve_lines() -> None:
    (script,) = blocks("A training script")
    assert script == (ROOT / "examples" / "1_cartpole_ppo.py").read_text(encoding="utf-8")
    code = [line for line in script.splitlines() if line and not line.startswith('"""')]
    assert len(code) == 12


def test_ci_runs_the_test_command(tmp_path: Path) -> None:
    """On a README of our own: it prints the command, runs it at the root, and passes its code."""
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "run"
    script.write_bytes((ROOT / ".ci" / "run").read_bytes())
    script.chmod(0o755)
    readme = (
        "## Quick start\n\n```bash\nfalse\n```\n\n## Tests\n\n```bash\npwd && exit 7\n```\n\n## X\n"
    )
    (tmp_path / "README.md").write_text(readme)
    done = subprocess.run([script], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert done.stdout == f"+ pwd && exit 7\n{tmp_path}\n"

    (tmp_path / "README.md").write_text(readme.replace("pwd && exit 7", "pwd\npwd"))
    done = subprocess.run([script], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "one fenced block of one line" in done.stderr


def test_links_and_pictures_exist() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    missing = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not missing


def test_every_command_is_in_the_overview() -> None:
    listed = re.findall(r"^\| `rlpyt ([\w-]+)", README, flags=re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
