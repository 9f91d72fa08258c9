"""F42: what else than progress.csv takes the rows of a run may die, in any way and at any time."""

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from post_conditions import AssertClean
from runner_fakes import assert_same_run, small_runner
from sink_fakes import install

from rlpyt.logging.context import logger_context
from rlpyt.logging.remote import RemoteSink
from rlpyt.logging.run_state import read_run_state
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.faults("F42")

NAMES = {"wandb": "W&B", "mlflow": "MLflow", "trackio": "Trackio"}


def train(log_dir: Path, *, resume: bool = False, n_itr: int = 8, **options: Any) -> Path:
    """A row after each of ``n_itr`` iterations of 64 steps; warnings that no test catches fail."""
    made = {"tensorboard": False, "console": False, **options}
    with logger_context(log_dir, 0, "test", resume=resume, **made) as logger:
        small_runner(n_itr=n_itr, log_interval_steps=64).train(logger, resume=resume)
    return log_dir / "run_0"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("undisturbed"))


def check(run_dir: Path, undisturbed: Path, caught: Any, told: str) -> None:
    """The run is what it would have been, and the user was told once."""
    assert_same_run(run_dir, undisturbed)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 1, messages
    assert told in messages[0]
    assert str(run_dir) in messages[0]


@pytest.mark.parametrize("what", ["add_scalar", "flush", "__init__"])
def test_tensorboards_disk_is_full(
    what: str,
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_clean: AssertClean,
):
    from torch.utils.tensorboard import SummaryWriter

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SummaryWriter, what, full)
    with pytest.warns(RuntimeWarning) as caught:
        run_dir = train(tmp_path, tensorboard=True)
    check(run_dir, undisturbed, caught, "TensorBoard of")
    assert_clean(run_dir, "done")


@pytest.mark.parametrize("fault", ["refuses", "raises", "hangs"])
@pytest.mark.parametrize("name", NAMES)
def test_a_service_fails(
    name: str,
    fault: str,
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_clean: AssertClean,
):
    """It cannot be reached; it takes one row and raises at the next; it never answers again."""
    told = install(name, monkeypatch)
    told.fail_to_begin = fault == "refuses"
    told.fail_at = 128 if fault == "raises" else None
    told.hang_at = 128 if fault == "hangs" else None
    monkeypatch.setattr(RemoteSink.__init__, "__defaults__", (1000, 0.5))
    with pytest.warns(RuntimeWarning) as caught:
        run_dir = train(tmp_path, sinks=(name,))
    check(run_dir, undisturbed, caught, f"{NAMES[name]} of")
    assert told.steps == ([] if fault == "refuses" else [64])
    assert_clean(run_dir, "done")
    told.let_go()


def test_one_fails_and_the_others_go_on(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch, assert_clean: AssertClean
):
    sound, failing = install("wandb", monkeypatch), install("mlflow", monkeypatch)
    failing.fail_at = 64
    with pytest.warns(RuntimeWarning) as caught:
        run_dir = train(tmp_path, sinks=("mlflow", "wandb"), tensorboard=True)
    check(run_dir, undisturbed, caught, "MLflow of")
    assert sound.steps == [64 * i for i in range(1, 9)]
    assert list(run_dir.glob("events*"))
    assert_clean(run_dir, "done")


def test_a_service_that_comes_back_is_sent_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_clean: AssertClean
):
    """The first half with a service that failed, the second resumed with it sound."""
    told = install("wandb", monkeypatch)
    told.fail_at = 128
    with pytest.warns(RuntimeWarning, match="W&B of"):
        train(tmp_path, n_itr=4, sinks=("wandb",))
    told.fail_at = None
    run_dir = train(tmp_path, resume=True, sinks=("wandb",))
    assert told.steps == [64, 320, 384, 448, 512]
    assert {begun["id"] for begun in told.begun} == {told.begun[0]["id"]}
    assert read_run_state(run_dir) == "done"
    assert_clean(run_dir, "done")


def test_a_package_that_is_not_installed_stops_the_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_clean: AssertClean
):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(RlpytError, match="needs the package trackio") as caught:
        train(tmp_path, sinks=("trackio",))
    assert list(tmp_path.iterdir()) == []
    assert_clean(error=caught.value)
