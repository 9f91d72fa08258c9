"""What a search decides, from fake scores; that it goes on where it was ended; what it says."""

import csv
import json
import os
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from search_fakes import (
    N_STEPS,
    RATE,
    SPACE,
    TWO,
    Bench,
    FakeLaunchers,
    KilledError,
    plan_of,
    score_at,
)
from warm_python import start

import rlpyt
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.ppo import PPO
from rlpyt.evaluation.run_scores import ScoreRule
from rlpyt.launch.queue import Queue
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.search import Choice, IntUniform, LogUniform, Uniform, plan_search, search
from rlpyt.search.figure import draw_search
from rlpyt.search.plan import n_rungs_of
from rlpyt.search.results import write_csv
from rlpyt.search.space import draw_values
from rlpyt.search.standing import WORST, iqm_of, run_score
from rlpyt.utils.errors import RlpytError


def by_score(plan, steps: float, numbers=None) -> list[int]:
    """The trials that should be first after so many steps."""
    rates = [values[RATE] for values in draw_values(plan.space, plan.search_seed, plan.n_trials)]
    numbers = range(plan.n_trials) if numbers is None else numbers
    return sorted(numbers, key=lambda n: -score_at(rates[n], steps))


def test_random_search_ranks_all_trials(bench: Bench):
    plan = plan_of()
    result = bench.search(plan)
    assert [trial.number for trial in result.trials] == by_score(plan, N_STEPS)
    assert bench.launchers.done == [
        (f"trial_{n:03d}/run_{seed}", None) for n in range(9) for seed in range(3)
    ]
    best = result.best
    assert best is not None
    late = [score_at(best.values[RATE], steps) for steps in (850, 900)]  # the last tenth
    assert best.scores == pytest.approx({seed: sum(late) / 2 + seed for seed in range(3)})
    assert best.iqm == pytest.approx(sum(late) / 2 + 1)
    assert best.interval is not None
    assert best.interval[0] < best.iqm < best.interval[1]
    assert (best.steps, best.n_failed, best.is_complete) == (N_STEPS, 0, True)
    assert not result.notes


def test_a_line_for_each_trial_names_its_objective_and_the_best(bench: Bench):
    plan = plan_of(n_trials=4)
    bench.search(plan)
    lines = bench.trial_lines()
    assert len(lines) == 4
    assert lines[0].startswith("trial_000: IQM ")
    assert "algo.learning_rate=" in lines[0]
    assert lines[0].endswith("the best so far")
    best = by_score(plan, N_STEPS)[0]
    assert "the best so far" in lines[best]
    assert all(f"best so far: trial_{best:03d}" in line for line in lines[best + 1 :])


def test_halving_promotes_the_best_of_each_rung(bench: Bench):
    plan = plan_of(method="halving")
    assert (plan.n_rungs, plan.n_kept, plan.pauses) == (3, [9, 3, 1], [100, 300, None])
    assert plan.share == pytest.approx((9 * 100 + 3 * 200 + 1 * 600) / (9 * 900))
    result = bench.search(plan)
    first = by_score(plan, 100)[:3]
    last = by_score(plan, 300, first)[0]
    trained = Counter((name.partition("/")[0], pause) for name, pause in bench.launchers.done)
    expected = Counter({(f"trial_{n:03d}", 100): 3 for n in range(9)})
    expected |= Counter({(f"trial_{n:03d}", 300): 3 for n in first})
    expected |= Counter({(f"trial_{last:03d}", None): 3})
    assert trained == expected
    assert result.trials[0].number == last
    assert [trial.rung for trial in result.trials] == [2, 1, 1, *[0] * 6]
    assert [trial.steps for trial in result.trials[:4]] == [900, 300, 300, 100]
    assert sum("go on" in line for line in bench.lines) == 2
    variant = json.loads((bench.directory / "search.json").read_text())
    assert (variant["rungs"], variant["factor"]) == (3, 3)


def test_what_goes_on_runs_before_what_begins(bench: Bench):
    plan = plan_of(method="halving", n_trials=3)
    bench.search(plan)
    with Queue(bench.directory) as queue:
        priorities = [run.spec.priority for run in queue.runs()]
    assert sorted(priorities) == [0] * 6 + [1] * 3


def test_a_search_that_is_killed_anywhere_comes_to_the_same_end(tmp_path, monkeypatch):
    plan = plan_of(method="halving", seeds=2)
    whole = Bench(tmp_path / "whole", monkeypatch)
    expected = whole.search(plan)
    n_runs = len(whole.launchers.done)
    assert n_runs == (9 + 3 + 1) * 2
    for kill_after in (0, 1, 7, 18, 19, 24, 25):
        bench = Bench(tmp_path / str(kill_after), monkeypatch)
        bench.launchers = FakeLaunchers(kill_after=kill_after)
        with pytest.raises(KilledError):
            bench.search(plan)
        bench.launchers.kill_after = None
        bench.lines.clear()
        result = bench.search(plan)
        assert result.trials == expected.trials
        assert Counter(bench.launchers.done) == Counter(whole.launchers.done)  # none twice
        assert "going on: 9 trials there" in bench.lines[0]
    again = bench.search(plan)
    assert again.trials == expected.trials
    assert len(bench.launchers.done) == n_runs


def test_between_a_rung_and_the_next_nothing_is_lost(bench: Bench, monkeypatch):
    """KilledError after some runs of a rung were extended, and others not."""
    plan = plan_of(method="halving", seeds=2)
    extend = Queue.extend

    def half(self, specs):
        extend(self, list(specs)[:1])
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "extend", half)
        with pytest.raises(KilledError):
            bench.search(plan)
    result = bench.search(plan)
    assert len(bench.launchers.done) == len(set(bench.launchers.done)) == 26
    assert result.trials[0].rung == 2


def test_more_trials_may_be_added_and_keep_the_first(bench: Bench):
    first = bench.search(plan_of(n_trials=4))
    result = bench.search(plan_of(n_trials=6))
    assert len(bench.launchers.done) == 6 * 3
    known = {trial.number: trial for trial in result.trials}
    assert [known[trial.number] for trial in first.trials] == list(first.trials)
    with pytest.raises(RlpytError, match="trials was 6, now 4"):
        bench.search(plan_of(n_trials=4))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space": {RATE: LogUniform(1e-4, 1e-1)}}, "algo.learning_rate was log:1e-05:0.1, now"),
        ({"space": {**SPACE, "algo.epochs": [1]}}, "algo.epochs was not there"),
        ({"seeds": 2}, r"seeds was \[0, 1, 2\], now \[0, 1\]"),
        ({"search_seed": 1}, "search_seed was 0, now 1"),
        ({"n_steps": 800}, "steps was 900, now 800"),
        ({"n_trials": 12}, "trials was 9, now 12"),
        ({"factor": 2}, "factor was 3, now 2"),
        ({"method": "random"}, "method was halving, now random"),
        ({"rule": ScoreRule(kind="auc")}, "score.kind was final, now auc"),
    ],
    ids=str,
)
def test_another_search_in_the_same_place_is_refused(bench: Bench, changes, told: str):
    halving = {"method": "halving"}
    bench.search(plan_of(**halving))
    with pytest.raises(RlpytError, match=told) as caught:
        bench.search(plan_of(**{**halving, **changes}))
    assert "--out" in str(caught.value)


def test_another_program_is_refused(bench: Bench, monkeypatch):
    bench.search(plan_of(n_trials=1))
    monkeypatch.setattr("search_fakes.Program", lambda **more: replaced(**more))
    with pytest.raises(RlpytError, match="program was"):
        bench.search(plan_of(n_trials=1))


def replaced(**more):
    from rlpyt.search.program import Program

    return Program(**{**more, "name": ["another"]})


# --- runs that fail, stop, or have no score ------------------------------------------------------


def test_a_failed_run_counts_as_the_worst_and_is_said(bench: Bench):
    plan = plan_of()
    best = by_score(plan, N_STEPS)[0]
    bench.launchers.fails = lambda run: run.name == f"trial_{best:03d}/run_1"
    result = bench.search(plan)
    last = result.trials[-1]
    assert (last.number, last.iqm, last.n_failed, last.interval) == (best, WORST, 1, None)
    assert last.scores[1] == WORST
    assert f"trial_{best:03d}/run_1 failed and counts as the worst: it diverged" in result.notes
    assert any("IQM -inf of 3 runs, 1 of them failed" in line for line in bench.trial_lines())
    assert write_csv(result).exists()
    assert draw_search(result) is not None


def test_of_four_seeds_one_may_fail():
    assert iqm_of({0: WORST, 1: 1.0, 2: 3.0, 3: 9.0}) == 2.0
    assert iqm_of({0: WORST, 1: WORST, 2: 3.0, 3: 9.0}) == WORST
    assert iqm_of({0: 2.0, 1: 3.0, 2: 10.0}) == 5.0


def test_where_all_fail_none_is_promoted_and_none_is_best(bench: Bench):
    bench.launchers.fails = lambda run: True
    result = bench.search(plan_of(method="halving"))
    assert result.best is None
    assert len(result.trials) == 9
    assert not bench.launchers.done
    assert draw_search(result) is None


def test_a_trial_that_fails_late_keeps_its_earlier_result(bench: Bench):
    plan = plan_of(method="halving", seeds=4)
    first = by_score(plan, 100)[:3]
    broken = by_score(plan, 300, first)[0]
    bench.launchers.fails = lambda run: (
        run.spec.log_dir == f"trial_{broken:03d}" and run.spec.variant.get("pause_steps") == 300
    )
    result = bench.search(plan)
    found = {trial.number: trial for trial in result.trials}
    assert (found[broken].rung, found[broken].iqm) == (1, WORST)
    assert result.trials[0].number == by_score(plan, 300, first)[1]


def test_one_failed_seed_of_four_is_not_run_again_when_its_trial_goes_on(bench: Bench):
    plan = plan_of(method="halving", seeds=4)
    first = by_score(plan, 100)[0]
    bench.launchers.fails = lambda run: run.name == f"trial_{first:03d}/run_3"
    result = bench.search(plan)
    assert (f"trial_{first:03d}/run_0", 300) in bench.launchers.done
    found = {trial.number: trial for trial in result.trials}[first]
    assert found.rung >= 1
    assert found.n_failed == 1
    assert found.iqm > WORST


def test_stopped_runs_leave_a_search_to_go_on_with(bench: Bench):
    plan = plan_of(n_trials=2)
    bench.launchers.kill_after = 0
    with pytest.raises(KilledError):
        bench.search(plan)
    bench.launchers.kill_after = None
    with Queue(bench.directory) as queue:
        queue.stop([4])
    result = bench.search(plan)
    assert [trial.number for trial in result.trials] == [0]
    assert any("trial_001/run_0 stopped" in note for note in result.notes)
    with Queue(bench.directory) as queue:
        queue.retry([4])
    assert len(bench.search(plan).trials) == 2
    assert len(bench.launchers.done) == 6


def progress(run_dir: Path, rows: list[tuple[float, object]]) -> Path:
    run_dir.mkdir(parents=True, exist_ok=True)
    lines = ["Diagnostics/CumSteps,ReturnAverage", *(f"{x},{y}" for x, y in rows)]
    (run_dir / "progress.csv").write_text("\n".join(lines) + "\n")
    return run_dir


def test_a_score_does_not_change_when_the_run_goes_on(tmp_path):
    rows = [(10, "nan"), (20, 1), (30, 2), (45, 4), (50, 8), (60, 16)]
    rule = ScoreRule(kind="last")
    paused = run_score(progress(tmp_path, rows[:4]), rule, 40)
    assert paused == 4
    assert run_score(progress(tmp_path, rows), rule, 40) == paused
    assert run_score(tmp_path, rule, None) == 16
    late = [(10, 3), (20, "nan"), (30, 5)]  # no episode ended in the row of the pause
    assert run_score(progress(tmp_path, late[:2]), rule, 20) == 3
    assert run_score(progress(tmp_path, late), rule, 20) == 3


def test_runs_without_a_score(tmp_path):
    rule = ScoreRule()
    assert run_score(tmp_path, rule, None) == WORST
    assert run_score(progress(tmp_path, []), rule, None) == WORST
    assert run_score(progress(tmp_path, [(1, "nan"), (2, "inf")]), rule, None) == WORST
    with pytest.raises(RlpytError, match="did you mean 'ReturnAverage'"):
        run_score(tmp_path, ScoreRule(column="RetrunAverage"), None)


# --- plans --------------------------------------------------------------------------------------


def test_rungs():
    assert n_rungs_of(27, 3, 81_000) == 4
    assert n_rungs_of(26, 3, 81_000) == 3
    assert n_rungs_of(27, 3, 81_000, min_steps=9_000) == 3
    assert n_rungs_of(27, 3, 81_000, min_steps=9_001) == 2
    assert n_rungs_of(16, 2, 100) == 5
    plan = plan_of(method="halving", n_trials=10, n_rungs=2)
    assert (plan.n_kept, plan.pauses) == ([10, 3], [300, None])
    assert "10 to 300, 3 to 900 steps" in plan.text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "halvng"}, "did you mean 'halving'"),
        ({"n_trials": 0}, "n_trials=0"),
        ({"seeds": 0}, "seeds=0"),
        ({"search_seed": -1}, "search_seed=-1"),
        ({"method": "halving", "n_steps": None}, "without a number of steps"),
        ({"method": "halving", "n_trials": 2}, "is random search"),
        ({"method": "halving", "factor": 1}, "factor=1"),
        ({"method": "halving", "n_rungs": 5}, "5 rungs of 9 trials"),
        ({"n_rungs": 2}, "they are of halving"),
        ({"min_steps": 2}, "they are of halving"),
        ({"rule": ScoreRule(steps=5)}, "scores whole runs"),
    ],
    ids=str,
)
def test_plans_that_cannot_be(changes, told: str):
    with pytest.raises(RlpytError, match=told) as caught:
        plan_of(**changes)
    assert caught.value.code in {"config", "usage"}


def test_table_and_picture(bench: Bench):
    space = {
        RATE: LogUniform(1e-5, 1e-1),
        "algo.discount": Uniform(0.9, 1),
        "algo.epochs": IntUniform(1, 4),
        "agent.sizes": Choice([[64, 64], [256]]),
    }
    result = bench.search(plan_of(space=space, method="halving"))
    with write_csv(result).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == [str(n) for n in range(1, 10)]
    first = result.trials[0]
    assert rows[0]["trial"] == first.name
    assert float(rows[0][RATE]) == first.values[RATE]
    assert json.loads(rows[0]["agent.sizes"]) == first.values["agent.sizes"]
    assert float(rows[0]["iqm"]) == first.iqm
    assert float(rows[0]["run_2"]) == first.scores[2]
    assert (rows[0]["steps"], rows[0]["rung"]) == ("900", "2")
    picture = draw_search(result)
    assert picture is not None
    assert picture.read_bytes()[:4] == b"\x89PNG"


# --- from a script ------------------------------------------------------------------------------

SCRIPT = """
import json, sys
from pathlib import Path
log_dir, seed = Path(sys.argv[2]), int(sys.argv[3])
variant = json.loads((log_dir / "variant_config.json").read_text())
end = variant.get("pause_steps") or variant["n_steps"]
rows = [f"{x},{variant['algo']['epochs'] * 10 + seed + x / 1000}" for x in range(50, end + 1, 50)]
run_dir = log_dir / f"run_{seed}"
(run_dir / "progress.csv").write_text("\\n".join(["Diagnostics/CumSteps,ReturnAverage", *rows, ""]))
with (run_dir / "ends.txt").open("a") as file:
    print(end, *sys.argv[4:], file=file)
"""

SEARCH = """
import sys
from rlpyt.search import IntUniform, plan_search, search
space = {"algo.epochs": IntUniform(1, 99)}
plan = plan_search(space, method="halving", n_trials=6, seeds=2, n_steps=300)
search(sys.argv[1], plan, affinity_code=sys.argv[3], out=sys.argv[2])
"""


def test_a_search_ended_by_sigkill_goes_on(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out = tmp_path / "search"
    words = ["-c", SEARCH, script, out, TWO]
    root = str(Path(rlpyt.__file__).parents[1])
    process = start(words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root})
    deadline = time.monotonic() + 60
    while len(list(out.glob("*/*/ends.txt"))) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Queue(out) as queue:
        before = {run.name: run.attempts for run in queue.runs() if run.state == "done"}
    assert before
    monkeypatch.chdir(tmp_path)
    space = {"algo.epochs": IntUniform(1, 99)}
    settings = {"method": "halving", "n_trials": 6, "seeds": 2, "n_steps": 300}
    result = search(script, plan_search(space, **settings), affinity_code=TWO, out=out)
    best = max(draw_values(result.plan.space, 0, 6), key=lambda values: values["algo.epochs"])
    assert result.best is not None
    assert result.best.values == best
    assert result.best.rung == 1
    with Queue(out) as queue:
        for run in queue.runs():
            promoted = int(run.spec.priority == 1)
            assert run.state == "done"
            assert run.name not in before or run.attempts == before[run.name] + promoted
            ends = (out / run.name / "ends.txt").read_text().split()
            assert ends[-1] == ("300" if promoted else "100")
    assert (out / "search.csv").exists()
    assert (out / "search.png").exists()


def small_runner(**settings) -> MinibatchRl:
    return MinibatchRl(
        algo=PPO(),
        agent=PgAgent(),
        sampler=SerialSampler(env="CartPole-v1", batch_T=16, batch_B=4),
        n_steps=6400,
        **settings,
    )


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"algo.learning_rat": LogUniform(1e-5, 1)}, "edge_0.*did you mean 'learning_rate'"),
        ({"algo.epochs": Uniform(1, 4)}, "algo.epochs"),
        ({"algo.epochs": ["many"]}, "algo.epochs"),
        ({"sampler.batch_B": IntUniform(0, 4)}, "batch_B=0"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_before_anything_is_written(tmp_path, space, told: str):
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit(3)")
    with pytest.raises(RlpytError, match=told):
        search(script, plan_search(space), runner=small_runner(), out=tmp_path / "search")
    assert not (tmp_path / "search").exists()


def test_rungs_that_no_run_can_tell_apart_are_refused(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit(3)")
    runner = replace(small_runner(), log_interval_steps=3200)
    told = "rungs end after 3,200, 3,200, 6,400 steps: a run pauses only where it logs, every 3,200"
    plan = plan_search({"algo.epochs": [1]}, method="halving", n_steps=6400, n_trials=9)
    with pytest.raises(RlpytError, match=told):
        search(script, plan, runner=runner, out=tmp_path / "s")


def test_there_has_to_be_a_script(tmp_path):
    with pytest.raises(RlpytError, match="there is no script"):
        search(tmp_path / "nowhere.py", plan_search({"algo.epochs": [1]}))
