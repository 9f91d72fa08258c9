"""F50: what each release has written loads with the code of the day: scores are as they were, and
runs go on. ``scripts/checkpoint_corpus`` adds a release.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.manifest import FORMAT_VERSION
from rlpyt.checkpoint.tree import flatten
from rlpyt.cli.main import main
from rlpyt.cli.rundir import load_runner
from rlpyt.logging.files import ProgressCsv
from rlpyt.logging.run_state import read_run_state

pytestmark = pytest.mark.faults("F50")

CORPUS = Path(__file__).parent / "corpus"
RUNS = sorted(path.parent for path in CORPUS.glob("*/*/expected.json"))
MOST = 600_000  # bytes of one release
MORE = 1024  # environment steps
ids = [f"{path.parent.name}-{path.name}" for path in RUNS]


@pytest.fixture(params=RUNS, ids=ids)
def kept(request, tmp_path: Path):
    """A copy of the run: a test may write there."""
    copy = tmp_path / "kept"
    shutil.copytree(request.param, copy)
    return copy


def test_every_release_has_each_kind_in_little_room():
    releases = [path for path in CORPUS.iterdir() if path.is_dir()]
    assert releases
    for release in releases:
        kinds = {path.name for path in release.iterdir()}
        assert kinds >= {"ppo", "ppo_lstm", "dqn", "sac"}
        assert sum(p.stat().st_size for p in release.rglob("*") if p.is_file()) < MOST


def test_the_present_format_is_in_the_corpus():
    paths = [Checkpointer(path / "run" / "checkpoints").latest() for path in RUNS]
    manifests = [json.loads((path / "manifest.json").read_text()) for path in paths]
    assert FORMAT_VERSION in {manifest["format_version"] for manifest in manifests}


def test_scores_are_as_recorded(kept: Path, capsys):
    expected = json.loads((kept / "expected.json").read_text())
    words = ["eval", str(kept / "run"), "--episodes", str(expected["episodes"])]
    assert main([*words, "--seed", str(expected["seed"]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == expected.keys()
    for name, value in expected.items():  # other processors round otherwise
        assert found[name] == pytest.approx(value, rel=1e-2, abs=1e-3), name


def test_it_goes_on(kept: Path, monkeypatch):
    """With all that it has learned by: what the algorithm holds as the first update begins is what
    was saved.
    """
    run_dir, began = kept / "run", []
    saved, before = Checkpointer(run_dir / "checkpoints").load_latest()
    algo = type(load_runner(run_dir).algo)
    optimize = algo.optimize_agent

    def optimize_agent(self, itr, samples):
        if not began:
            arrays, skeleton = flatten(
                {"agent": self.agent.state_dict(), "algo": self.state_dict()}
            )
            began.append(({name: array.clone() for name, array in arrays.items()}, skeleton))
        return optimize(self, itr, samples)

    monkeypatch.setattr(algo, "optimize_agent", optimize_agent)
    rows = ProgressCsv(run_dir / "progress.csv").rows
    n_steps = before.cum_steps + MORE
    words = ["resume", str(run_dir), "--quiet", "--no-tensorboard", "--no-plot"]
    assert main([*words, f"n_steps={n_steps}"]) == 0
    after = Checkpointer(run_dir / "checkpoints").load_latest()[1]
    assert after.cum_steps >= n_steps
    log = ProgressCsv(run_dir / "progress.csv")
    assert log.rows > rows
    assert read_run_state(run_dir) == "done"
    assert "resumed after" in (run_dir / "debug.log").read_text()
    [(arrays, skeleton)] = began
    expected, then = flatten({name: saved[name] for name in ("agent", "algo")})
    assert len(expected) > 8
    for name, array in expected.items():
        assert torch.equal(arrays[name], array), name
    assert skeleton == then
