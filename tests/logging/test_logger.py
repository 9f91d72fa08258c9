import csv
import errno
import json
import math
import os
import re
import subprocess
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from readers import events, viskit_load
from warm_python import start

from rlpyt.logging import files
from rlpyt.logging.context import default_log_dir, logger_context
from rlpyt.logging.logger import Logger
from rlpyt.logging.statistics import five_statistics, scalar_tag
from rlpyt.logging.table import format_number
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError


@dataclass(kw_only=True)
class Algo:
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = math.inf


@dataclass(kw_only=True)
class Runner:
    algo: Algo = field(default_factory=Algo)
    seed: int = 7


def quiet(run_dir: Path, **options: Any) -> Logger:
    return Logger(run_dir, "ppo", 0, **{"tensorboard": False, "console": False, **options})


def fail_in_context(log_dir: Path, held: list[Logger]) -> None:
    with logger_context(log_dir, 0, "ppo", tensorboard=False, console=False) as logger:
        logger.row({"a": 1}, 1)
        held.append(logger)
        raise ZeroDivisionError


def log_rows(logger: Logger, numbers: Iterable[int]) -> None:
    for i in numbers:
        logger.row({"a": i}, i)


def read(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "progress.csv").open() as file:
        return list(csv.DictReader(file))


def test_viskit_reads_a_run(tmp_path: Path):
    with logger_context(tmp_path, 3, "ppo", tensorboard=False, console=False) as logger:
        logger.log_params(config_dict(Runner()), {"version": "1.0", "path": Path("x")})
        logger.row({"Diagnostics/CumSteps": 100, **five_statistics("Return", [])}, 100)
        logger.row({"Diagnostics/CumSteps": 200, **five_statistics("Return", [1, 3])}, 200)
    assert logger.run_dir == tmp_path / "run_3"
    [(params, columns)] = viskit_load(tmp_path)
    assert params["algo.learning_rate"] == 1e-3
    assert params["algo.betas"] == [0.9, 0.999]
    assert params["exp_name"] == "ppo"
    assert params["seed"] == 7
    assert list(columns) == [
        "Diagnostics/CumSteps",
        "ReturnAverage",
        "ReturnStd",
        "ReturnMedian",
        "ReturnMin",
        "ReturnMax",
    ]
    assert columns["Diagnostics/CumSteps"] == [100.0, 200.0]
    assert math.isnan(columns["ReturnAverage"][0])
    assert [column[1] for column in columns.values()] == [200, 2, 1, 2, 1, 3]
    pairs = [eval(repr(pair), {}) for pair in params.items()]  # as viskit's legends do
    assert dict(pairs) == params


def test_params_json_is_complete_and_indented(tmp_path: Path):
    logger = quiet(tmp_path)
    logger.log_params(config_dict(Runner()), {"torch": torch.float32})
    logger.close()
    text = (tmp_path / "params.json").read_text()
    params = json.loads(text)
    assert params == {
        "class": f"{__name__}.Runner",
        "algo": {
            "class": f"{__name__}.Algo",
            "learning_rate": 1e-3,
            "betas": [0.9, 0.999],
            "clip": "inf",
        },
        "seed": 7,
        "name": "ppo",
        "run_ID": 0,
        "extra": {"torch": "torch.float32"},
    }
    assert '\n  "algo": {\n    "class"' in text


def test_row_cells_are_plain_numbers(tmp_path: Path):
    logger = quiet(tmp_path)
    values: dict[str, Any] = {
        "a": np.int64(3),
        "b": np.float32(0.5),
        "c": torch.tensor(2.0),
        "d": 1,
    }
    logger.row({**values, 'e,"f': math.nan}, 1)
    logger.close()
    expected = 'a,b,c,d,"e,""f"\n3,0.5,2.0,1,nan\n'
    assert (tmp_path / "progress.csv").read_text() == expected
    with pytest.raises(TypeError, match="column 'a' takes a number, not 'x'"):
        logger.row({"a": "x"}, 2)  # type: ignore[dict-item]  # the mistake under test
    with pytest.raises(ValueError, match="line break"):
        logger.row({"a\nb": 1}, 2)
    assert (tmp_path / "progress.csv").read_text() == expected


def test_new_columns_are_appended_in_order_and_padded(tmp_path: Path):
    logger = quiet(tmp_path)
    logger.row({"z": 1, "a": 2}, 1)
    logger.row({"a": 3, "y": 4, "b": 5, "z": 6}, 2)
    logger.row({"b": 7}, 3)
    logger.close()
    text = (tmp_path / "progress.csv").read_text()
    assert text == "z,a,y,b\n1,2,nan,nan\n6,3,4,5\nnan,nan,nan,7\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["debug.log", "progress.csv"]


def test_a_row_is_on_disk_when_row_returns(tmp_path: Path):
    logger = quiet(tmp_path)
    for i in range(3):
        logger.row({"a": i}, i)
        assert [row["a"] for row in read(tmp_path)] == [str(j) for j in range(i + 1)]
    logger.close()


@pytest.mark.parametrize("torn", ["", "9,9", "9,9,9\n8,"])
def test_resume_cuts_back_byte_for_byte(tmp_path: Path, torn: str):
    logger = quiet(tmp_path)
    logger.row({"b": 0.1, "a,x": math.nan}, 1)
    logger.row({"b": 2}, 2)
    state = json.loads(json.dumps(logger.state_dict()))
    before = (tmp_path / "progress.csv").read_bytes()
    logger.row({"b": 3, "new": 1}, 3)
    logger.close()
    uninterrupted = (tmp_path / "progress.csv").read_bytes()
    with (tmp_path / "progress.csv").open("a") as file:
        file.write(torn)
    logger = quiet(tmp_path, resume=True)
    logger.load_state_dict(state)
    assert (tmp_path / "progress.csv").read_bytes() == before
    assert logger.state_dict() == state
    logger.row({"b": 3, "new": 1}, 3)
    logger.close()
    assert (tmp_path / "progress.csv").read_bytes() == uninterrupted


def test_resume_without_a_state_continues_after_the_last_whole_row(tmp_path: Path):
    logger = quiet(tmp_path)
    logger.row({"a": 1, "b": 2}, 1)
    logger.close()
    with (tmp_path / "progress.csv").open("a") as file:
        file.write("5,66666666666666666666666")
    logger = quiet(tmp_path, resume=True)
    logger.row({"b": 3}, 2)
    logger.close()
    assert (tmp_path / "progress.csv").read_text() == "a,b\n1,2\nnan,3\n"


def test_resume_from_before_the_first_row(tmp_path: Path):
    logger = quiet(tmp_path)
    state = logger.state_dict()
    logger.row({"a": 1}, 1)
    logger.load_state_dict(state)
    logger.row({"c": 1}, 1)
    logger.close()
    assert (tmp_path / "progress.csv").read_text() == "c\n1\n"


@pytest.mark.parametrize("state", [{"columns": ["a"], "rows": 3}, {"columns": ["b"], "rows": 1}])
def test_resume_refuses_a_file_that_is_not_the_runs(tmp_path: Path, state: dict[str, Any]):
    logger = quiet(tmp_path)
    logger.row({"a": 1}, 1)
    before = (tmp_path / "progress.csv").read_bytes()
    with pytest.raises(RlpytError, match=r"progress\.csv does not hold") as caught:
        logger.load_state_dict({**state, "step": 1})
    logger.close()
    assert caught.value.code == "directory"
    assert (tmp_path / "progress.csv").read_bytes() == before


def test_of_torchrun_s_processes_the_first_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A variable RANK that somebody else has set is none of its."""
    monkeypatch.setenv("RANK", "1")
    with logger_context(tmp_path, 0, "ppo", tensorboard=False, console=False) as logger:
        assert logger is not None
    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with logger_context(tmp_path, 1, "ppo", tensorboard=False, console=False) as logger:
        assert logger is None
    monkeypatch.setenv("RANK", "0")
    with logger_context(tmp_path, 2, "ppo", tensorboard=False, console=False) as logger:
        assert logger is not None


def test_a_second_run_never_erases_the_first(tmp_path: Path):
    with logger_context(tmp_path, 0, "ppo", tensorboard=False, console=False) as logger:
        logger.row({"a": 1}, 1)
    with (
        pytest.raises(RlpytError, match="another run's, which is kept") as caught,
        logger_context(tmp_path, 0, "ppo", tensorboard=False, console=False),
    ):
        pass
    assert str(tmp_path / "run_0" / "progress.csv") in str(caught.value)
    assert "resume=True" in caught.value.hint
    assert [row["a"] for row in read(tmp_path / "run_0")] == ["1"]


def test_two_loggers_at_once_never_erase_each_other(tmp_path: Path):
    first, second = quiet(tmp_path), quiet(tmp_path)
    first.row({"a": 1}, 1)
    for values in ({"a": 2}, {"b": 3}):
        with pytest.raises(RlpytError, match="written by another logger"):
            second.row(values, 1)
    first.row({"a": 4}, 2)
    assert [row["a"] for row in read(tmp_path)] == ["1", "4"]
    first.close()
    second.close()


def test_a_path_below_a_file_fails_before_anything_is_written(tmp_path: Path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(RlpytError, match="ENOTDIR") as caught:
        quiet(tmp_path / "file" / "run_0")
    assert caught.value.code == "directory"
    assert str(tmp_path / "file" / "run_0") in str(caught.value)
    with pytest.raises(RlpytError, match="EEXIST"):
        quiet(tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


def test_a_directory_that_takes_no_files_is_refused():
    with pytest.raises(RlpytError, match=r"cannot write /proc/nothing/run_0: .*errno \d+"):
        quiet(Path("/proc/nothing/run_0"))


def test_a_read_only_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files.os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(RlpytError, match="EACCES"):
        quiet(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_debug_log_lines(tmp_path: Path):
    logger = quiet(tmp_path)
    logger.text("first\nsecond [bold]", 12)
    assert len((tmp_path / "debug.log").read_text().splitlines()) == 2
    logger.close()
    logger = quiet(tmp_path)
    logger.text("third", 13)
    logger.close()
    lines = (tmp_path / "debug.log").read_text().splitlines()
    pattern = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}  \| ppo_0 itr #(\d+) (.*)"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert [match.groups() for match in found if match] == [
        ("12", "first"),
        ("12", "second [bold]"),
        ("13", "third"),
    ]


def test_context_closes_after_an_exception(tmp_path: Path):
    held: list[Logger] = []
    with pytest.raises(ZeroDivisionError):
        fail_in_context(tmp_path, held)
    assert read(tmp_path / "run_0") == [{"a": "1"}]
    with pytest.raises(ValueError, match="closed file"):
        held[0].text("late", 1)
    held[0].close()


def test_default_log_dir():
    pattern = r"data/local/\d{8}/\d{6}/ppo cartpole"
    assert re.fullmatch(pattern, default_log_dir("ppo cartpole").as_posix())


def test_tensorboard_reads_back(tmp_path: Path):
    logger = quiet(tmp_path, tensorboard=True)
    logger.row({"Diagnostics/StepsPerSecond": 10, "ReturnAverage": math.nan, "lossStd": 0.5}, 100)
    assert events(tmp_path)["loss/Std"] == [(100, 0.5)]  # while the run goes on
    logger.row({"Diagnostics/StepsPerSecond": 20, "ReturnAverage": 2.5, "lossStd": 0.25}, 200)
    logger.close()
    assert events(tmp_path)["Diagnostics/StepsPerSecond"] == [(100, 10), (200, 20)]
    assert events(tmp_path)["Return/Average"] == [(200, 2.5)]
    assert list(read(tmp_path)[0]) == ["Diagnostics/StepsPerSecond", "ReturnAverage", "lossStd"]


def test_tensorboard_after_resume_holds_each_step_once(tmp_path: Path):
    logger = quiet(tmp_path, tensorboard=True)
    logger.row({"a": 1}, 100)
    state = logger.state_dict()
    logger.row({"a": 2}, 200)
    logger.row({"a": 3}, 300)
    logger.close()
    logger = quiet(tmp_path, tensorboard=True, resume=True)
    logger.load_state_dict(state)
    logger.row({"a": 5}, 200)
    logger.close()
    assert events(tmp_path)["a"] == [(100, 1), (200, 5)]


def test_no_tensorboard_no_events(tmp_path: Path):
    logger = quiet(tmp_path)
    logger.row({"a": 1}, 1)
    logger.close()
    assert not list(tmp_path.glob("events*"))


@pytest.mark.parametrize(
    ("column", "tag"),
    [
        ("ReturnAverage", "Return/Average"),
        ("gradNormMax", "gradNorm/Max"),
        ("Diagnostics/CumSteps", "Diagnostics/CumSteps"),
        ("alpha", "alpha"),
        ("Std", "Std"),
    ],
)
def test_scalar_tags(column: str, tag: str):
    assert scalar_tag(column) == tag


def test_a_failing_tensorboard_warns_once_and_the_csv_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from torch.utils.tensorboard import SummaryWriter

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    logger = quiet(tmp_path, tensorboard=True)
    with pytest.warns(RuntimeWarning, match="TensorBoard of .* No space left") as caught:
        log_rows(logger, range(4))
    assert len(caught) == 1
    logger.close()
    assert [row["a"] for row in read(tmp_path)] == ["0", "1", "2", "3"]


def test_rows_wait_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    logger = quiet(tmp_path)
    logger.row({"a": 1}, 1)
    real = files.ProgressCsv._write_at_end

    def torn(self: Any, content: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(content[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.ProgressCsv, "_write_at_end", torn)
    with pytest.warns(RuntimeWarning, match=r"progress\.csv of .* rows wait") as caught:
        log_rows(logger, (2, 3))
    assert len(caught) == 1
    assert logger.state_dict()["rows"] == 1
    monkeypatch.setattr(files.ProgressCsv, "_write_at_end", real)
    logger.row({"a": 4, "b": 5}, 4)
    monkeypatch.setattr(files.ProgressCsv, "_write_at_end", torn)
    log_rows(logger, range(5, 14))  # nine failures in a row are borne again
    logger.close()
    whole = "a,b\n1,nan\n2,nan\n3,nan\n4,5\n"
    assert (tmp_path / "progress.csv").read_text().startswith(whole)


@pytest.mark.faults("F18")
def test_resumed_on_a_full_disk_it_says_so_and_leaves_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    logger = quiet(tmp_path)
    log_rows(logger, range(2))
    state = logger.state_dict()
    log_rows(logger, range(2, 4))
    logger.close()
    before = (tmp_path / "progress.csv").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    logger = quiet(tmp_path, resume=True)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(RlpytError, match=r"cannot write .*progress\.csv: No space left"):
            logger.load_state_dict(state)
    logger.close()
    assert (tmp_path / "progress.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_a_removed_directory_stops_the_run_after_ten_rows(tmp_path: Path):
    logger = quiet(tmp_path / "run")
    logger.row({"a": 0}, 0)
    (tmp_path / "run").rename(tmp_path / "gone")
    with pytest.warns(RuntimeWarning, match="rows wait"):
        log_rows(logger, range(1, 10))
    with pytest.raises(RlpytError, match=r"run/progress\.csv.*ENOENT"):
        logger.row({"a": 10}, 10)
    logger.close()


def test_console_table_groups_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "80")
    logger = Logger(tmp_path, "ppo[x]", 0, tensorboard=False)
    row = {"Diagnostics/CumSteps": 123456, **five_statistics("Return", [1, 2]), "alpha[k]": 0.25}
    row |= five_statistics("DiscountedReturn", [-1234.5, -1.234e-4, -3e-5, 1e-6])
    logger.row(row, 123456)
    logger.text("hello [there]", 3)
    logger.close()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    positions = [
        shown.index(word)
        for word in (
            "ppo[x]_0 · 123,456 steps",
            "CumSteps",
            "Median",
            "trajectories",
            "DiscountedReturn",
        )
    ]
    assert positions == sorted(positions)
    assert all(len(line) <= 80 for line in shown.splitlines()[:-1])
    assert shown.index("optimisation") < shown.index("alpha[k]")
    assert shown.splitlines()[-1] == "hello [there]"
    logger = quiet(tmp_path / "other")
    logger.row(row, 1)
    logger.text("hello", 1)
    logger.close()
    assert capsys.readouterr().out == ""


def test_without_a_terminal_there_are_no_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    logger = Logger(tmp_path, "ppo", 0, tensorboard=False)
    logger.row({"Diagnostics/CumSteps": 1}, 1)
    logger.text("shown [x] :dog:", 1)
    logger.text("only in the file", 1, show=False)
    logger.close()
    assert capsys.readouterr().out == "shown [x] :dog:\n"
    assert "itr #1 only in the file" in (tmp_path / "debug.log").read_text()


def test_a_run_outlives_the_reader_of_its_output(tmp_path: Path):
    program = """
import sys
from pathlib import Path
from rlpyt.logging.logger import Logger
logger = Logger(Path(sys.argv[1]), "ppo", 0, tensorboard=False)
for i in range(10_000):
    logger.text("line " * 20, i)
logger.close()
"""
    words = ["-c", program, tmp_path]
    with start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == ""
    assert run.returncode == 0
    assert "itr #9999" in (tmp_path / "debug.log").read_text()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1,234,567"),
        (1234567.0, "1,234,567"),
        (12345.678, "12,346"),
        (-0.000123456, "-1.23e-04"),
        (0.00123456, "0.001235"),
        (math.nan, "-"),
        (math.inf, "inf"),
        (1e200, "1e+200"),
    ],
)
def test_numbers_are_readable(value: float, shown: str):
    assert format_number(value) == shown


def test_five_statistics():
    assert five_statistics("x", [1, 2, 3, 6]) == {
        "xAverage": 3.0,
        "xStd": pytest.approx(np.std([1, 2, 3, 6])),
        "xMedian": 2.5,
        "xMin": 1.0,
        "xMax": 6.0,
    }
    assert five_statistics("x", [5])["xStd"] == 0
    for values in ([], [1, math.nan]):
        assert all(math.isnan(value) for value in five_statistics("x", values).values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert five_statistics("x", [math.inf, 1e200])["xMax"] == math.inf
