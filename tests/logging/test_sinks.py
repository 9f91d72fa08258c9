"""Services beside progress.csv: what they are told, what a resumed run sends, what fails."""

import json
import math
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from sink_fakes import FAKES, Told, install

from rlpyt.logging.logger import Logger
from rlpyt.logging.remote import RemoteSink, SinkRecords
from rlpyt.logging.sink import Sink
from rlpyt.logging.sinks import SINKS
from rlpyt.logging.tensorboard import TensorBoardSink
from rlpyt.utils.errors import RlpytError

CONFIG = {"class": "x.Runner", "algo": {"learning_rate": 1e-3}, "n_steps": 4}


def open_logger(run_dir: Path, *sinks: str, **options: Any) -> Logger:
    made = {"tensorboard": False, "console": False, **options}
    return Logger(run_dir, "ppo", 3, sinks=sinks, **made)


def log(logger: Logger, steps: Iterable[int]) -> None:
    for step in steps:
        logger.row({"Diagnostics/CumTime (s)": step / 2, "ReturnAverage": float(step)}, step)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def n_rows(run_dir: Path) -> int:
    return len((run_dir / "progress.csv").read_text().splitlines()) - 1


@pytest.mark.parametrize("name", SINKS)
def test_a_service_gets_settings_and_rows(name: str, tmp_path: Path, monkeypatch):
    told = install(name, monkeypatch)
    logger = open_logger(tmp_path, name)
    logger.log_params(CONFIG, {})
    logger.row({"Diagnostics/CumTime (s)": 0.5, "ReturnAverage": math.nan, "loss": math.inf}, 1)
    log(logger, [2])
    logger.close()
    assert (
        told.settings.items()
        >= {
            "algo.learning_rate": "0.001" if name == "mlflow" else 1e-3,
            "n_steps": "4" if name == "mlflow" else 4,
        }.items()
    )
    seconds = "Diagnostics/CumTime s" if name == "mlflow" else "Diagnostics/CumTime (s)"
    assert told.rows == [(1, {seconds: 0.5}), (2, {seconds: 1.0, "Return/Average": 2.0})]
    assert told.ended == {"wandb": [0], "mlflow": ["FINISHED"], "trackio": [None]}[name]
    assert len(told.begun) == 1
    if name != "trackio":
        assert told.begun[0]["name"] == "ppo_3"
    record = json.loads((tmp_path / "sinks.json").read_text())[name]
    assert record["step"] == 2


@pytest.mark.parametrize("name", SINKS)
def test_a_resumed_run_goes_on_where_it_is(name: str, tmp_path: Path, monkeypatch):
    """The same run of the service; what it has is not sent again; what was set anew is told."""
    told = install(name, monkeypatch)
    logger = open_logger(tmp_path, name)
    logger.log_params(CONFIG, {})
    log(logger, [1, 2])
    state = logger.state_dict()
    log(logger, [3, 4])
    logger.close()
    (tmp_path / "state.json").write_text('{"state": "interrupted"}')
    logger = open_logger(tmp_path, name, resume=True)
    logger.log_params({**CONFIG, "n_steps": 6}, {})
    logger.load_state_dict(state)
    log(logger, [3, 4, 5])
    logger.close()
    assert told.steps == [1, 2, 3, 4, 5]
    first, second = told.begun
    identifier = {"wandb": "id", "trackio": "name"}.get(name)
    if identifier is None:
        assert second == {"id": "mlflow-id", "status": "RUNNING"}
    else:
        assert first[identifier] == second[identifier]
        assert second["resume"] == "allow"
        assert told.settings["n_steps"] == 6
    ends = {"wandb": [0, 1], "mlflow": ["FINISHED", "KILLED"], "trackio": [None, None]}
    assert told.ended == ends[name]
    assert n_rows(tmp_path) == 5


def test_rows_without_settings_are_sent_too(tmp_path: Path, monkeypatch):
    told = install("wandb", monkeypatch)
    logger = open_logger(tmp_path, "wandb", "wandb")  # once is enough
    log(logger, [1])
    logger.close()
    logger.close()
    assert told.steps == [1]
    assert told.ended == [0]


@pytest.mark.parametrize("name", SINKS)
@pytest.mark.parametrize("fault", ["begin", "row", "close"])
def test_a_failing_service_warns_once(name: str, fault: str, tmp_path: Path, monkeypatch):
    told = install(name, monkeypatch)
    told.fail_to_begin = fault == "begin"
    told.fail_at = {"row": 2, "close": 5}.get(fault)
    logger = open_logger(tmp_path, name)
    with pytest.warns(RuntimeWarning) as caught:
        outlive(logger, name, wait=fault != "close")
    assert len(caught) == 1
    message = str(caught[0].message)
    what = "ConnectionRefusedError: no route to the service" if fault == "begin" else "quota"
    assert message.startswith(f"{logger_name(name)} of {tmp_path} cannot be written: ")
    assert what in message
    assert "\n" not in message
    assert n_rows(tmp_path) == 5
    if fault == "row":
        assert told.steps == [1]


def outlive(logger: Logger, name: str, *, wait: bool) -> None:
    """Log five rows; ``wait`` after two until the service has failed."""
    log(logger, [1, 2])
    if wait:
        wait_for(lambda: logger_name(name) not in {thread.name for thread in threading.enumerate()})
    log(logger, [3, 4, 5])
    logger.close()


def logger_name(name: str) -> str:
    return {"wandb": "W&B", "mlflow": "MLflow", "trackio": "Trackio"}[name]


def test_a_hanging_service_holds_up_nothing(tmp_path: Path, monkeypatch):
    told = install("wandb", monkeypatch)
    told.hang_at = 2
    monkeypatch.setattr(RemoteSink.__init__, "__defaults__", (3, 0.3))
    logger = open_logger(tmp_path, "wandb")
    log(logger, [1, 2])
    wait_for(lambda: told.steps == [1])
    start = time.monotonic()
    log(logger, range(3, 50))
    assert time.monotonic() - start < 2
    with pytest.warns(RuntimeWarning, match="W&B of .* does not answer") as caught:
        logger.close()
    assert time.monotonic() - start < 4
    assert len(caught) == 1
    assert "48 rows are missing after 0.3 s; progress.csv has every row" in str(caught[0].message)
    assert n_rows(tmp_path) == 49
    told.let_go()


def test_a_slow_service_misses_the_rows_that_are_too_many(tmp_path: Path, monkeypatch):
    told = Told(hang_at=1)
    monkeypatch.setitem(sys.modules, "wandb", FAKES["wandb"](told))
    monkeypatch.setattr(RemoteSink.__init__, "__defaults__", (2, 10.0))
    logger = open_logger(tmp_path, "wandb")
    log(logger, [1])
    wait_for(lambda: logger._sinks[0]._queue.empty())  # type: ignore[attr-defined]  # it has the row
    log(logger, [2, 3, 4, 5])
    told.released.set()
    with pytest.warns(RuntimeWarning, match="did not keep up, 2 rows are missing"):
        logger.close()
    assert told.steps == [1, 2, 3]


def test_a_lost_record_begins_a_new_run(tmp_path: Path):
    records = SinkRecords(tmp_path)
    assert records.get("wandb") == (None, -1)
    records.set("wandb", "a", 7)
    records.set("mlflow", "b", 8)
    assert SinkRecords(tmp_path).get("wandb") == ("a", 7)
    for damaged in ("{", "3"):
        (tmp_path / "sinks.json").write_text(damaged)
        assert SinkRecords(tmp_path).get("wandb") == (None, -1)


def test_an_unknown_sink_and_one_that_is_not_installed(tmp_path: Path, monkeypatch):
    with pytest.raises(RlpytError, match="unknown sink 'wandbb'") as caught:
        open_logger(tmp_path / "run", "wandbb")
    assert caught.value.hint == "did you mean 'wandb'?"
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(RlpytError, match="needs the package mlflow") as caught:
        open_logger(tmp_path / "run", "mlflow")
    assert caught.value.hint == 'pip install "rlpyt[mlflow]"'
    assert not (tmp_path / "run").exists()


def test_a_folder_named_wandb_is_not_the_package(tmp_path: Path, monkeypatch):
    """W&B makes one for its files in the current directory."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(RlpytError, match="needs the package wandb"):
        open_logger(tmp_path / "run", "wandb")


def test_a_broken_package_is_told_before_the_run(tmp_path: Path, monkeypatch):
    (tmp_path / "trackio.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "trackio", raising=False)
    with pytest.raises(RlpytError, match="trackio cannot be imported: No module") as caught:
        open_logger(tmp_path / "run", "trackio")
    assert caught.value.hint == 'pip install -U "rlpyt[trackio]"'


def test_tensorboard_is_a_sink_too(tmp_path: Path):
    sink: Sink = TensorBoardSink(tmp_path)
    sink.begin({"a": 1})
    sink.close()
    assert sink.name == "TensorBoard"
    assert not list(tmp_path.iterdir())
