"""F02, F03: with ``on_worker_failure="restart"`` a lost worker is replaced, and the run goes on."""

import csv
import os
import random
import re
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fault_envs import episode_length
from post_conditions import AssertClean, kill_and_wait, slowness, workers
from small_runs import KINDS, B, T, runner, sampling, train

from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.loop import TrainingLoop
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.faults("F02")

RESTART: dict[str, Any] = {"on_worker_failure": "restart"}


def column(run_dir: Path, name: str) -> list[int]:
    with (run_dir / "progress.csv").open() as file:
        return [int(float(row[f"Diagnostics/{name}"])) for row in csv.DictReader(file)]


@contextmanager
def recorded_warnings() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", RuntimeWarning)
        yield warned


@contextmanager
def killing(moments: list[float]) -> Iterator[list[int]]:
    """A random worker is killed when it is ``moments`` seconds later, and so on; who was killed.

    The first moment is counted from the first worker: a cold start takes seconds of its own.
    """
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        rng = random.Random(len(moments))
        while not workers():
            if over.wait(0.02):
                return
        for moment in moments:
            if over.wait(moment):
                return
            if running := workers():
                killed.append(rng.choice(running))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["kill", "raise", "sleep"])
def test_the_run_finishes_with_exact_counters(kind, fault, tmp_path, assert_clean: AssertClean):
    made = runner(
        kind,
        n_itr=6,
        fault=f"{fault} in step",
        victim=2,
        episode=2,
        once=str(tmp_path / "once"),
        worker_timeout=1.0 if fault == "sleep" else 30.0,
        **RESTART,
    )
    start = time.monotonic()
    with pytest.warns(RuntimeWarning, match="it is replaced") as warned:
        run_dir = train(made, tmp_path)
    assert time.monotonic() - start < 15 * slowness()
    [warning] = [str(w.message) for w in warned]
    told = {"kill": "was killed by SIGKILL", "raise": "raised ValueError", "sleep": "hangs: no"}
    assert told[fault] in warning
    assert "no longer repeatable" in warning
    assert column(run_dir, "WorkerRestarts") in ([0, 1, 1], [1, 1, 1])
    assert column(run_dir, "CumSteps") == [2 * T * B, 4 * T * B, 6 * T * B]
    assert made.cum_steps == 6 * T * B
    assert column(run_dir, "Iteration") == [2, 4, 6]
    assert_clean(run_dir, "done")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sampled_around_a_restart(kind, tmp_path, assert_clean: AssertClean):
    """Whole episodes of the environment, a truncation where the master acts, and nothing torn."""
    once = tmp_path / "once"
    settings = {"fault": "kill in step", "victim": 2, "episode": 1, "once": str(once), **RESTART}
    finished, batches = [], []
    with recorded_warnings() as warned, sampling(kind, poison=True, **settings) as made:
        for itr in range(6):
            samples, trajs = made.obtain_samples(itr)
            finished += trajs
            assert samples.observation.isfinite().all()
            assert samples.reward.isfinite().all()
            assert ((samples.action == 0) | (samples.action == 1)).all()
            batches.append((samples.terminated | samples.truncated).clone())
        assert made.times().restarts == len(warned) == 1
    done = sum(int(batch.sum()) for batch in batches)
    lengths = [traj.Length for traj in finished]
    assert len(finished) == done
    struck = [b for b in range(B) if KINDS[kind][1] == 1 or b >= 2]
    for b in range(B):
        own = [traj.Length for traj in finished if traj.env_index == b]
        if b not in struck:
            assert own == [episode_length(b, episode) for episode in range(len(own))]
        assert sum(own) <= 6 * T
    if kind in ("gpu", "alternating"):  # the open episodes were cut
        assert all(length <= 8 for length in lengths)
    else:  # the batch was collected anew, from the reset
        assert all(5 <= length <= 8 for length in lengths if length)
    assert_clean()


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments(kind, tmp_path, assert_clean: AssertClean):
    n_itr = 12 if kind == "one" else 18  # long enough for the first kill on a quick machine
    made = runner(kind, n_itr=n_itr, pause=0.005, max_restarts=99, **RESTART)
    with recorded_warnings(), killing([0.5, 0.3, 0.25, 0.2, 0.15]) as killed:
        run_dir = train(made, tmp_path)
    assert killed
    assert column(run_dir, "CumSteps")[-1] == n_itr * T * B
    assert 1 <= column(run_dir, "WorkerRestarts")[-1] <= len(killed)
    assert_clean(run_dir, "done")


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize("when", ["learning", "saving", "evaluating"])
def test_a_worker_that_dies_while_nobody_samples(
    kind, when, tmp_path, monkeypatch, assert_clean: AssertClean
):
    made = runner(
        kind, n_itr=4, evaluator=Evaluator(episodes=4, n_envs=4), max_restarts=9, **RESTART
    )
    target, name = {
        "learning": (type(made.algo), "optimize_agent"),
        "saving": (TrainingLoop, "_save"),
        "evaluating": (Evaluator, "evaluate"),
    }[when]
    original = getattr(target, name)
    calls = []

    def after_a_death(self, *args, **kwargs):
        calls.append(name)
        if len(calls) == 2:
            kill_and_wait(workers()[-1])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(target, name, after_a_death)
    with pytest.warns(RuntimeWarning, match="it is replaced"):
        run_dir = train(made, tmp_path)
    assert column(run_dir, "CumSteps")[-1] == 4 * T * B
    assert column(run_dir, "WorkerRestarts")[-1] == 1
    assert_clean(run_dir, "done")


@pytest.mark.faults("F03")
def test_a_budget_that_is_exhausted(tmp_path, assert_clean: AssertClean):
    made = runner(
        "cpu", fault="kill in step", victim=-1, max_restarts=2, restart_window=50.0, **RESTART
    )
    with pytest.warns(RuntimeWarning, match="it is replaced"), pytest.raises(RlpytError) as caught:
        train(made, tmp_path)
    error = caught.value
    what = r"restart budget exhausted \(2 in 50 s\); the last: worker [01] was killed by SIGKILL"
    assert re.fullmatch(what, error.what)
    assert "replay-capsule" in error.hint
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.faults("F03")
def test_old_restarts_are_forgotten(tmp_path, assert_clean: AssertClean):
    settings = {"max_restarts": 1, "restart_window": 0.2, **RESTART}
    made = runner("cpu", n_itr=20, pause=0.01, **settings)
    with pytest.warns(RuntimeWarning, match="it is replaced"), killing([0.4, 0.6, 0.6]):
        run_dir = train(made, tmp_path)
    assert column(run_dir, "WorkerRestarts")[-1] >= 2
    assert_clean(run_dir, "done")


@pytest.mark.parametrize("kind", KINDS)
def test_an_episode_that_dies_between_two_batches_is_not_continued_by_another(
    kind, assert_clean: AssertClean
):
    with sampling(kind, **RESTART) as made:
        finished = [traj for itr in range(2) for traj in made.obtain_samples(itr)[1]]
        kill_and_wait(workers()[-1])
        with pytest.warns(RuntimeWarning, match="it is replaced"):
            finished += made.obtain_samples(2)[1]
        finished += [traj for itr in range(3, 6) for traj in made.obtain_samples(itr)[1]]
    assert all(5 <= traj.Length <= 8 for traj in finished), [traj.Length for traj in finished]
    assert_clean()
