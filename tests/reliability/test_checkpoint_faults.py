"""F16-F23, F41, F48, F49: what becomes of a run and its checkpoints when disks, files, clocks,
settings and evaluations go wrong.
"""

import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fault_envs import Faulty, NotMadeAgain
from post_conditions import AssertClean
from runner_fakes import assert_same_run, parameters, read_rows
from small_disk import SmallDisk, small_disk
from small_runs import QUIET, B, T, runner, train

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.files import read_manifest
from rlpyt.cli.main import main
from rlpyt.envs.build import EnvConfig
from rlpyt.logging.run_state import read_run_state
from rlpyt.runners.evaluator import Evaluator
from rlpyt.utils.errors import RlpytError

FILES = ("arrays.safetensors", "state.json", "manifest.json")


def at_iteration(monkeypatch, made: Any, actions: dict[int, Any]) -> None:
    """Do ``actions[itr]`` before iteration ``itr`` is learned from."""
    optimize = type(made.algo).optimize_agent

    def acting(self: Any, itr: int, samples: Any) -> Any:
        actions.get(itr, lambda: None)()
        return optimize(self, itr, samples)

    monkeypatch.setattr(type(made.algo), "optimize_agent", acting)


def saved(run_dir: Path) -> list[int]:
    return sorted(Checkpointer(run_dir / "checkpoints").saved())


def every_itr(**settings: Any) -> Any:
    return runner("serial", checkpoint_interval_steps=T * B, **settings)


@pytest.fixture
def disk(tmp_path: Path, assert_clean: AssertClean) -> Iterator[SmallDisk]:
    with small_disk(tmp_path) as disk:
        assert_clean.processes.add(disk.shell.pid)
        yield disk


# --- F17: what a loss of power leaves -------------------------------------------------------------


@pytest.mark.faults("F17")
def test_rows_that_a_checkpoint_counts_are_on_disk_before_it(tmp_path, monkeypatch, assert_clean):
    """The order for the checkpoint's own files is tested with it: write, fsync, rename, fsync."""
    calls: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def syncing(descriptor: int) -> None:
        calls.append(("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        fsync(descriptor)

    def renaming(old: Any, new: Any, **kwargs: Any) -> None:
        calls.append(("rename", Path(new).name))
        rename(old, new, **kwargs)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "rename", renaming)
    run_dir = train(every_itr(n_itr=4), tmp_path)
    renames = [i for i, call in enumerate(calls) if call == ("rename", "itr_000000004")]
    since = calls.index(("rename", "itr_000000003")) + 1
    before = calls[since : renames[0]]
    assert before.index(("fsync", "progress.csv")) < before.index(("fsync", "run_0"))
    assert before.index(("fsync", "run_0")) < before.index(("fsync", "arrays.safetensors"))
    assert calls[renames[0] + 1] == ("fsync", "checkpoints")
    assert_clean(run_dir, "done")


# --- F18: a full disk -----------------------------------------------------------------------------


@pytest.mark.faults("F18")
def test_training_goes_on_while_a_real_disk_is_full(disk, monkeypatch, assert_clean, tmp_path):
    made = every_itr()
    at_iteration(monkeypatch, made, {2: disk.fill, 4: disk.free})
    start = time.monotonic()
    with pytest.warns(RuntimeWarning, match=r"ENOSPC\); about \d+ bytes needed, \d+ free; the run"):
        run_dir = train(made, disk.path)
    assert time.monotonic() - start < 60
    found = saved(run_dir)
    assert found[-1] == 6
    assert read_run_state(run_dir) == "done"
    other = every_itr()
    other.train()
    assert parameters(made) == parameters(other)
    assert_clean(run_dir, "done")


@pytest.mark.faults("F18")
def test_a_disk_that_stays_full_ends_the_run(disk, monkeypatch, assert_clean: AssertClean):
    made = every_itr(n_itr=12)
    at_iteration(monkeypatch, made, {3: disk.fill})
    with (
        pytest.warns(RuntimeWarning, match="No space left on device"),
        pytest.raises(RlpytError, match=r"No space left on device \(ENOSPC") as caught,
    ):
        train(made, disk.path)
    run_dir = disk.path / "run_0"
    assert "free some space" in caught.value.hint
    assert 4 <= made.cum_steps // (T * B) <= 8  # the third in a row that failed
    newest = Checkpointer(run_dir / "checkpoints").load_latest()[1].itr
    assert newest in (2, 3)
    disk.free()
    monkeypatch.undo()
    train(every_itr(n_itr=12), disk.path, resume=True)
    assert_same_run(train(every_itr(n_itr=12), disk.path / "whole"), run_dir)
    assert_clean(run_dir, "done", caught.value)


# --- F19: a directory that cannot be written ------------------------------------------------------


@pytest.mark.faults("F19")
@pytest.mark.parametrize("what", ["read-only", "a file", "below a file"])
def test_no_directory_no_environment(what, disk, capsys, assert_clean: AssertClean):
    place = disk.path / "place"
    if what == "read-only":
        disk.make_read_only()
    else:
        place.write_text("")
    out = place / "run" if what == "below a file" else place
    words = f"train a2c fault_envs:Faulty --steps 64 --out {out}".split()
    # It would say so, if an environment were made.
    assert main([*words, *QUIET, "sampler.env.kwargs.fault=raise in __init__"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("ERROR directory: ")
    assert str(place) in told
    errno = {"read-only": "EROFS", "a file": "EEXIST", "below a file": "ENOTDIR"}[what]
    assert f"({errno}, errno " in told
    assert_clean()


@pytest.mark.faults("F19")
def test_a_directory_that_becomes_read_only(disk, monkeypatch, assert_clean: AssertClean):
    made = every_itr(n_itr=20, log_interval_steps=100 * T * B)
    at_iteration(monkeypatch, made, {3: lambda: disk.cover_read_only("run_0/checkpoints")})
    with (
        pytest.warns(RuntimeWarning, match="Read-only file system|EROFS"),
        pytest.raises(RlpytError, match="EROFS") as caught,
    ):
        train(made, disk.path)
    disk.uncover("run_0/checkpoints")
    assert Checkpointer(disk.path / "run_0" / "checkpoints").load_latest()[1].itr in (2, 3)
    assert_clean(disk.path / "run_0", "failed(checkpoint)", caught.value)


@pytest.mark.faults("F19")
def test_a_directory_that_vanishes_is_not_made_again(tmp_path, monkeypatch, assert_clean):
    made = every_itr(n_itr=20)
    gone = tmp_path / "run_0"
    at_iteration(monkeypatch, made, {3: lambda: gone.rename(tmp_path / "moved")})
    with (
        pytest.warns(RuntimeWarning, match="ENOENT|No such file"),
        pytest.raises(RlpytError, match=r"run_0.*ENOENT") as caught,
    ):
        train(made, tmp_path)
    assert not gone.exists()
    moved = Checkpointer(tmp_path / "moved" / "checkpoints")
    state, manifest = moved.load(moved.latest())  # beside what was being written then, perhaps
    assert state["itr"] == manifest.itr in (2, 3)
    assert_clean(error=caught.value)


# --- F20, F21: damaged, missing and foreign files -------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return train(every_itr(), tmp_path_factory.mktemp("whole"))


@pytest.fixture
def stopped(whole: Path, tmp_path: Path) -> Path:
    """The same run, as if ended after iteration 4: checkpoints of 3 and 4."""
    made = every_itr(pause_steps=4 * T * B)
    return train(made, tmp_path)


def resume(run_dir: Path, *more: str) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # they are shown, not raised
        return main(["resume", str(run_dir), *QUIET, *more])


@pytest.mark.faults("F20")
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_damage_anywhere_falls_back(name, how, stopped, assert_clean: AssertClean):
    checkpoints = Checkpointer(stopped / "checkpoints")
    file = checkpoints.latest() / name
    sound = file.read_bytes()
    for i, offset in enumerate(np.linspace(0, len(sound) - 1, 20).astype(int).tolist()):
        damaged = bytearray(sound)
        damaged[offset] ^= 1 << i % 8
        file.write_bytes(sound[:offset] if how == "truncated" else bytes(damaged))
        with pytest.warns(UserWarning, match=f"fell back to itr_000000003.*{name}"):
            _state, manifest = checkpoints.load_latest()
        assert manifest.itr == 3
    assert_clean(stopped, "paused")


@pytest.mark.faults("F20", "F21")
@pytest.mark.parametrize("name", [*FILES, "no manifest"])
def test_a_run_with_a_damaged_checkpoint_is_resumed_from_the_one_before(
    name, stopped, whole, capsys, assert_clean: AssertClean
):
    newest = Checkpointer(stopped / "checkpoints").latest()
    if name == "no manifest":
        (newest / "manifest.json").unlink()
    else:
        (newest / name).write_bytes((newest / name).read_bytes()[:-7])
    assert resume(stopped) == 0
    told = capsys.readouterr().err
    assert "WARNING: fell back to itr_000000003: " in told
    assert str(newest) in told
    assert_same_run(whole, stopped)
    assert_clean(stopped, "done")


@pytest.mark.faults("F20")
def test_nothing_sound_is_an_error_that_names_all(stopped, capsys, assert_clean: AssertClean):
    paths = list(Checkpointer(stopped / "checkpoints").saved().values())
    assert len(paths) > 1
    for path in [*paths, *(stopped / "checkpoints").glob("itr_*")]:
        (path / "state.json").write_bytes(b"")
    assert resume(stopped) == 1
    [told] = capsys.readouterr().err.splitlines()
    assert told.startswith("ERROR checkpoint: none of the checkpoints can be loaded")
    assert all("state.json is damaged: 0 bytes long" in told and str(p) in told for p in paths)
    assert_clean()


@pytest.mark.faults("F21")
def test_a_checkpoint_of_the_future(stopped, capsys, assert_clean: AssertClean):
    newest = Checkpointer(stopped / "checkpoints").latest()
    later = replace(read_manifest(newest), format_version=99, rlpyt_version="9.1")
    (newest / "manifest.json").write_bytes(later.to_bytes())
    assert resume(stopped) == 1
    [told] = capsys.readouterr().err.splitlines()
    assert told.startswith("ERROR version: checkpoint format version 99, written by rlpyt 9.1; ")
    assert "use the rlpyt that wrote it, or a newer one" in told
    assert_clean()


@pytest.mark.faults("F21")
@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("algo.class", "rlpyt.algos.pg.a2c.A3C", "A3C"),
        ("agent.class", "no_such_package.Agent", "no_such_package"),
        ("algo.momentum", 0.5, "A2C has no field 'momentum'"),
    ],
)
def test_a_component_that_nobody_knows(path, value, told, stopped, capsys, assert_clean):
    params = json.loads((stopped / "params.json").read_text())
    *above, last = path.split(".")
    params[above[0]][last] = value
    (stopped / "params.json").write_text(json.dumps(params))
    assert resume(stopped) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("ERROR config: ")
    assert told in line
    assert "params.json" in line
    assert_clean()


# --- F22: other settings --------------------------------------------------------------------------

KINDS = {
    "n_steps=999": "allowed",
    "keep_checkpoints=7": "allowed",
    "algo.learning_rate=0.5": "needs --override",
    "seed=5": "needs --override",
    "agent.model_kwargs.hidden_sizes=[9]": "impossible: model/policy.hidden.0.weight (8, 3), now "
    "(9, 3)",
    "sampler.env.id=CartPole-v1": "impossible: the checkpoint holds the state of other",
    "sampler.env.kwargs.pause=0.1": "impossible: the checkpoint holds the state of other",
    "sampler.batch_B=8": "impossible: the run is counted in batches",
}


@pytest.mark.faults("F22")
@pytest.mark.parametrize("setting", KINDS)
def test_what_differs_is_told_with_its_kind(setting, stopped, capsys, assert_clean):
    params = (stopped / "params.json").read_text()
    kind = KINDS[setting]
    code = resume(stopped, setting, "algo.gae_lambda=0.5")  # which needs to be asked for
    err = capsys.readouterr().err
    assert code == 2
    heading, *rows = err.splitlines()[:-1]
    assert heading.split() == ["setting", "the", "run's", "now"]
    assert [row for row in rows if row.startswith(f"{setting.split('=')[0]} ") and kind in row]
    asked = any(
        row.startswith("algo.gae_lambda ") and row.endswith("needs --override") for row in rows
    )
    assert asked
    assert err.splitlines()[-1].startswith("ERROR config: ")
    assert (stopped / "params.json").read_text() == params  # nothing was done
    if kind.startswith("impossible"):
        assert resume(stopped, setting, "--override") == 2
        assert (stopped / "params.json").read_text() == params
    assert_clean(stopped, "paused")


@pytest.mark.faults("F22")
def test_with_override_it_goes_on_and_the_lineage_says_so(stopped, whole, assert_clean):
    assert resume(stopped, "algo.learning_rate=0.5", "n_steps=224", "--override") == 0
    assert json.loads((stopped / "params.json").read_text())["algo"]["learning_rate"] == 0.5
    [event] = json.loads((stopped / "lineage.json").read_text())["events"]
    assert (event["event"], event["itr"]) == ("override", 4)
    assert event["changed"]["algo.learning_rate"] == {"before": 1e-3, "now": 0.5}
    assert len(read_rows(stopped)) == 4  # 2, 4, 6 and the last, 7
    before, after = (Checkpointer(d / "checkpoints").load_latest()[0] for d in (whole, stopped))
    weights = [state["agent"]["model"] for state in (before, after)]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert_clean(stopped, "done")
    assert resume(stopped) == 0  # these are its settings now


# --- F23: another sampler -------------------------------------------------------------------------


@pytest.mark.faults("F23")
@pytest.mark.parametrize("group_size", [None, 2])
def test_another_sampler_says_what_is_lost(group_size, tmp_path, capsys, assert_clean):
    settings = {} if group_size is None else {"group_size": group_size}
    whole = train(every_itr(**settings), tmp_path / "whole")
    run_dir = train(every_itr(pause_steps=4 * T * B, **settings), tmp_path)
    assert resume(run_dir, "--sampler", "cpu", "--workers", "2") == 0
    told = capsys.readouterr().err
    if group_size is None:
        assert "the agent acts for 2 environments at a time, before for 4: the resumed run " in told
        assert "equals the uninterrupted one only up to float sums" in told
        assert "only up to float sums" in (run_dir / "debug.log").read_text()
    else:
        assert told == ""
        assert_same_run(whole, run_dir)
    assert_clean(run_dir, "done")


# --- F41: clocks ----------------------------------------------------------------------------------


@pytest.mark.faults("F41")
@pytest.mark.parametrize("clock", ["jumps", "stands"])
def test_the_clock_on_the_wall_decides_nothing(clock, tmp_path, monkeypatch, assert_clean):
    now, jumps = [1e9], iter([3600.0, -3600.0] * 100_000)

    def wall() -> float:
        now[0] += next(jumps) if clock == "jumps" else 0.0
        return now[0]

    monkeypatch.setattr(time, "time", wall)
    run_dir = train(every_itr(keep_checkpoints=9), tmp_path)
    monkeypatch.undo()
    assert saved(run_dir) == [0, 1, 2, 3, 4, 5, 6]
    for row in read_rows(run_dir):
        for name in ("StepsPerSecond", "CumTime (s)", "CumTrainTime"):
            value = float(row.get(f"Diagnostics/{name}", "nan"))
            assert math.isnan(value) or value > 0
    assert_clean(run_dir, "done")


@pytest.mark.faults("F41")
def test_no_part_of_a_run_asks_the_clock_on_the_wall_how_long(assert_clean: AssertClean):
    package = Path(main.__code__.co_filename).parents[1]
    found = [
        path.relative_to(package).as_posix()
        for folder in ("algos", "agents", "checkpoint", "envs", "replays", "runners", "samplers")
        for path in (package / folder).rglob("*.py")
        if "time.time(" in path.read_text()
    ]
    assert found == []
    assert_clean()


# --- F48: seeds -----------------------------------------------------------------------------------


@pytest.mark.faults("F48")
@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**63, 2**64 + 1])
def test_any_whole_number_is_a_seed(seed, tmp_path, assert_clean: AssertClean):
    made = [replace(every_itr(n_itr=2), seed=seed) for _ in range(2)]
    run_dirs = [train(each, tmp_path / str(i)) for i, each in enumerate(made)]
    assert_same_run(*run_dirs)
    assert json.loads((run_dirs[0] / "params.json").read_text())["seed"] == seed
    provenance = json.loads((run_dirs[0] / "provenance.json").read_text())
    assert provenance["sessions"][0]["seed"] == seed
    assert_clean(run_dirs[0], "done")


@pytest.mark.faults("F48")
@pytest.mark.parametrize("seed", [None, -1, 1.5, "7"])
def test_what_is_no_seed(seed, tmp_path, assert_clean: AssertClean):
    with pytest.raises(RlpytError) as caught:
        train(replace(every_itr(), seed=seed), tmp_path)
    error = caught.value
    assert (error.code, error.what) == ("config", f"seed={seed}")
    assert "make_seed()" in error.hint
    assert not (tmp_path / "run_0" / "checkpoints").exists()
    assert_clean(error=error)


@pytest.mark.faults("F48")
@pytest.mark.parametrize("seed", ["None", "-1", "x"])
def test_what_is_no_seed_on_the_command_line(seed, tmp_path, capsys, assert_clean: AssertClean):
    words = f"train a2c CartPole-v1 --out {tmp_path / 'run'} --seed={seed}".split()
    assert main(words) == 2
    assert "ERROR usage: argument --seed: " in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert_clean()


# --- F49: evaluations -----------------------------------------------------------------------------


def evaluated(kind: str, **faults: Any) -> Any:
    env = EnvConfig(id=Faulty, kwargs=faults)
    return runner(kind, evaluator=Evaluator(episodes=4, n_envs=4, env=env))


@pytest.mark.faults("F49")
@pytest.mark.parametrize("kind", ["serial", "cpu", "gpu"])
def test_an_evaluation_that_fails_is_left_out(kind, tmp_path, assert_clean: AssertClean):
    sound = evaluated(kind)
    train(sound, tmp_path / "sound")
    failing = evaluated(kind, fault="raise in step", victim=-1)
    what = r"the evaluation is left out, it has failed 3 times: env \d raised ValueError in step"
    with pytest.warns(RuntimeWarning, match=what) as told:
        run_dir = train(failing, tmp_path)
    assert sum("left out" in str(each.message) for each in told) == 4  # at 0, 2, 4 and 6
    assert parameters(failing) == parameters(sound)
    rows = read_rows(run_dir)
    assert [row["Diagnostics/TrajsInEval"] for row in rows] == ["0.0"] * 4
    assert [row["ReturnAverage"] for row in rows] == ["nan"] * 4
    assert_clean(run_dir, "done")


@pytest.mark.faults("F49")
@pytest.mark.parametrize("kind", ["serial", "cpu", "gpu"])
def test_an_evaluation_that_fails_once_is_tried_again(kind, tmp_path, assert_clean: AssertClean):
    once = tmp_path / "once"
    made = evaluated(kind, fault="raise in step", victim=-1, once=str(once))
    run_dir = train(made, tmp_path)
    assert once.exists()
    assert [row["Diagnostics/TrajsInEval"] for row in read_rows(run_dir)] == ["4.0"] * 4
    sound = evaluated(kind)
    train(sound, tmp_path / "sound")
    assert parameters(made) == parameters(sound)
    assert_clean(run_dir, "done")


@pytest.mark.faults("F49")
@pytest.mark.parametrize("kind", ["serial", "cpu", "gpu"])
def test_evaluation_environments_that_cannot_be_made_again(
    kind, tmp_path, assert_clean: AssertClean
):
    """Workers whose replies nobody has waited for do not mix them up with those of the training."""
    env = EnvConfig(
        id=NotMadeAgain,
        kwargs={"fault": "raise in step", "victim": -1, "once": str(tmp_path / "once")},
    )
    made = runner(kind, evaluator=Evaluator(episodes=4, n_envs=4, env=env))
    what = r"has failed 3 times: env \d raised ValueError in its constructor"
    with pytest.warns(RuntimeWarning, match=what) as told:
        run_dir = train(made, tmp_path)
    assert sum("left out" in str(each.message) for each in told) == 4
    never = runner(kind)
    train(never, tmp_path / "sound")
    assert parameters(made) == parameters(never)
    assert_clean(run_dir, "done")


# --- E8: saving changes nothing -------------------------------------------------------------------


def test_saving_does_not_change_the_run(tmp_path, assert_clean: AssertClean):
    often, never = every_itr(), every_itr()
    run_dir = train(often, tmp_path)
    never.train()
    assert parameters(often) == parameters(never)
    shutil.rmtree(run_dir / "checkpoints")
    assert_clean()
