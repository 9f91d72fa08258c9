"""A paused and resumed run is the uninterrupted one, bit for bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runner_fakes import assert_same_run, quiet_logger, read_rows, small_runner, train
from world_runs import as_async, as_sync

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.cli.main import main
from rlpyt.logging.logger import Logger
from rlpyt.logging.run_state import read_run_state
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.continued import train_or_continue
from rlpyt.runners.evaluator import Evaluator
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.filterwarnings("ignore:.*share .* usable CPU:RuntimeWarning")

VARIANTS: dict[str, dict[str, Any]] = {
    "ppo": {},
    "a2c-lstm-evaluator": {"algo": "a2c", "recurrent": "lstm", "evaluator": Evaluator(episodes=3)},
    "pqn": {"algo": "pqn"},  # with a schedule of epsilon
    "sac": {"algo": "sac", "continuous": True},
}


def n_done(run_dir: Path) -> int:
    return max(Checkpointer(run_dir / "checkpoints").saved())


def assert_pauses_exactly(made: BaseRunner, pauses: list[int], root: Path) -> None:
    """``pauses`` are in steps; each time the run is what it would have been."""
    whole = train(replace(made), root / "whole")
    for n, steps in enumerate(pauses):
        train(replace(made, pause_steps=steps), root / "parts", resume=n > 0)
        assert read_run_state(root / "parts" / "run_0") == "paused"
        rows = read_rows(root / "parts" / "run_0")
        assert len(rows) < len(read_rows(whole))
        assert float(rows[-1]["Diagnostics/CumSteps"]) >= steps
    run_dir = train(replace(made), root / "parts", resume=True)
    assert read_run_state(run_dir) == "done"
    assert_same_run(whole, run_dir)


@pytest.mark.parametrize("variant", VARIANTS)
def test_paused_twice_is_uninterrupted(tmp_path: Path, variant: str):
    assert_pauses_exactly(small_runner(**VARIANTS[variant]), [100, 400], tmp_path)


def test_in_two_ranks(tmp_path: Path):
    assert_pauses_exactly(as_sync(small_runner(n_steps=1280)), [500], tmp_path)


def test_while_the_next_batch_is_sampled_already(tmp_path: Path):
    assert_pauses_exactly(as_async(small_runner(**VARIANTS["sac"])), [200, 300], tmp_path)


@pytest.mark.parametrize(("steps", "itr"), [(1, 3), (192, 3), (193, 6), (500, 9), (641, 10)])
def test_it_pauses_at_the_first_row_from_there_on(tmp_path: Path, steps: int, itr: int):
    runner = small_runner(log_interval_steps=192, pause_steps=steps)
    assert runner.last_itr == itr
    run_dir = train(runner, tmp_path)
    assert n_done(run_dir) == itr
    assert read_run_state(run_dir) == ("done" if itr == 10 else "paused")
    assert float(read_rows(run_dir)[-1]["Diagnostics/CumSteps"]) == 64 * itr


def test_it_goes_on_where_it_pauses_later(tmp_path: Path):
    def go(pause_steps: int | None) -> bool:
        logger: Logger
        with quiet_logger(tmp_path, resume=True) as logger:
            return train_or_continue(small_runner(pause_steps=pause_steps), logger)

    run_dir = tmp_path / "run_0"
    assert go(128)
    assert not go(128)
    assert not go(64)
    assert n_done(run_dir) == 2
    assert go(256)
    assert read_run_state(run_dir) == "paused"
    assert go(None)
    assert read_run_state(run_dir) == "done"
    assert not go(None)
    assert not go(128)  # a pause that is behind it
    assert n_done(run_dir) == 10


def test_rlpyt_resume_goes_on_to_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = "--steps 1000 --n-envs 2 sampler.batch_T=16 log_interval_steps=100 pause_steps=300"
    quiet = ["--no-tensorboard", "--no-plot"]
    out = str(tmp_path / "run")
    assert main(["train", "a2c", "CartPole-v1", "--out", out, *words.split(), *quiet]) == 0
    assert read_run_state(tmp_path / "run") == "paused"
    assert "paused after 384 of 1,000 steps" in capsys.readouterr().out
    assert main(["resume", out, "--quiet", *quiet]) == 0
    assert read_run_state(tmp_path / "run") == "done"


def test_a_pause_is_after_the_start():
    with pytest.raises(RlpytError, match="pause_steps=0"):
        small_runner(pause_steps=0).check()
