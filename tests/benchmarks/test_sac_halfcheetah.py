"""The benchmark of SAC on HalfCheetah, as it is started from the command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mujoco")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "sac_halfcheetah.py"
SHORT = ("--rounds", "1", "--steps", "30", "--warmup", "1001", "--threads", "1")


def run(folder: Path, *options: str) -> tuple[str, list[dict[str, Any]]]:
    """What the benchmark prints, and its outcomes."""
    results = folder / "results.json"
    command = [sys.executable, str(SCRIPT), *SHORT, *options, "--json", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcomes: list[dict[str, Any]] = json.loads(results.read_text(encoding="utf-8"))["outcomes"]
    assert [outcome["trouble"] for outcome in outcomes] == [""] * len(outcomes), done.stderr
    return done.stdout, outcomes


def test_ours_and_a_peer_take_the_steps_that_are_asked_for(tmp_path: Path) -> None:
    printed, outcomes = run(tmp_path, "--only", "rlpyt,single-file")
    measured = {outcome["entry"]["name"]: outcome["rounds"][0] for outcome in outcomes}
    assert {name: (r["warmup_steps"], r["steps"]) for name, r in measured.items()} == {
        "rlpyt": (1001, 30),
        "single-file": (1001, 30),
    }
    assert "rlpyt, 1 thread / best peer, single file, CleanRL style, 1 thread" in printed


@pytest.mark.slow
def test_the_parts_of_a_step_add_up_to_it(tmp_path: Path) -> None:
    printed, outcomes = run(tmp_path, "--split")
    measured = outcomes[0]["rounds"][0]
    parts = {part: wall for part, (wall, _cpu) in measured["parts"].items()}
    # Both stopwatches stop one after the other, and the processor may be another's meanwhile.
    assert sum(parts.values()) == pytest.approx(1000 / measured["steps_per_s"], rel=0.2)
    learning = {part for part in parts if part.startswith(("critics: ", "policy: "))}
    kinds = {"forward", "backward", "optimizer", "gradient's norm"}
    assert {part.partition(", ")[0].partition(": ")[2] for part in learning} == kinds
    assert {"replay: draw", "target networks", "loop, records, noise"} <= parts.keys()
    assert measured["products"]["best"] <= min(measured["products"]["ms"].values())
    assert "matrix products alone, oneDNN" in printed
