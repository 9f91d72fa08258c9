"""Runs on disk to a comparison and its report."""

import csv
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from rlpyt.evaluation.bootstrap import Interval
from rlpyt.evaluation.comparison import Comparison, compare_runs
from rlpyt.evaluation.comparison_tables import interval_text, latex_table, number_text
from rlpyt.evaluation.report import write_report
from rlpyt.evaluation.run_scores import RunScores, ScoreRule, collect_scores
from rlpyt.utils.errors import RlpytError

FINAL = ScoreRule()


def make_run(
    folder: Path,
    returns: Sequence[float],
    *,
    algo: str = "PPO",
    env: str = "CartPole-v1",
    seed: int = 0,
    interval: float = 100,
    **settings: Any,
) -> Path:
    """A run with one row every ``interval`` steps."""
    folder.mkdir(parents=True)
    rows = [f"{interval * (i + 1)},{value}\n" for i, value in enumerate(returns)]
    text = "Diagnostics/CumSteps,ReturnAverage\n" + "".join(rows)
    (folder / "progress.csv").write_text(text)
    params = {"algo": {"class": f"rlpyt.{algo}", **settings}, "sampler": {"env": env}, "seed": seed}
    (folder / "params.json").write_text(json.dumps(params))
    return folder


def make_grid(root: Path, n_seeds: int = 5, n_rows: int = 20) -> None:
    """Two algorithms on two environments; A2C is worse on both."""
    noise = np.random.default_rng(0)
    for algo, level in (("A2C", 0.5), ("PPO", 0.9)):
        for env, low, high in (("CartPole-v1", 20, 500), ("Acrobot-v1", -500, -80)):
            for seed in range(n_seeds):
                rise = np.linspace(0, level, n_rows) + noise.normal(0, 0.03, n_rows)
                curve = low + (high - low) * rise
                folder = root / f"{algo}-{env}-{seed}"
                make_run(folder, curve.tolist(), algo=algo, env=env, seed=seed)


def collect(root: Path, **rule: Any) -> RunScores:
    return collect_scores([root], ScoreRule(**rule))


# --- scores ---


@pytest.mark.parametrize(
    ("kind", "score"), [("final", 21.5), ("last", 22.0), ("best", 30.0), ("auc", 11.5)]
)
def test_what_of_a_run_is_its_score(tmp_path: Path, kind: Any, score: float) -> None:
    returns = [*range(1, 23)]  # the last tenth of 22 rows are 2.2: the rows above 1980 steps
    returns[10] = 30
    for seed in range(2):
        make_run(tmp_path / str(seed), returns, seed=seed)
    found = collect(tmp_path, kind=kind).scores["PPO"]
    expected = score + (19 / 21 if kind == "auc" else 0)
    if kind == "final":
        expected = np.mean([20, 21, 22])
    np.testing.assert_allclose(found, [[expected], [expected]])


def test_an_unknown_score_has_a_hint() -> None:
    with pytest.raises(RlpytError, match=r"score 'finale' is not known.*'final'"):
        ScoreRule(kind="finale")  # type: ignore[arg-type]


def test_algorithms_are_what_differs_besides_seed_and_environment(tmp_path: Path) -> None:
    for env in ("a", "b"):
        for rate in (0.1, 0.2):
            for seed in range(2):
                folder = tmp_path / f"{env}{rate}{seed}"
                make_run(folder, [1, 2], env=env, seed=seed, learning_rate=rate)
    found = collect(tmp_path)
    assert found.algorithms == ["PPO · learning_rate=0.1", "PPO · learning_rate=0.2"]
    assert found.tasks == ["a", "b"]
    assert {each.shape for each in found.scores.values()} == {(2, 2)}
    assert found.notes == []


def test_unequal_numbers_of_runs_are_filled_up(tmp_path: Path) -> None:
    for env, n in (("a", 3), ("b", 1)):
        for seed in range(n):
            make_run(tmp_path / f"{env}{seed}", [seed], env=env, seed=seed)
    nan = np.nan
    np.testing.assert_array_equal(collect(tmp_path).scores["PPO"], [[0, 0], [1, nan], [2, nan]])


def test_runs_of_a_task_are_cut_where_the_shortest_ends(tmp_path: Path) -> None:
    make_run(tmp_path / "long", [1.0] * 10 + [9.0] * 10)
    make_run(tmp_path / "short", [2.0] * 10, seed=1)
    make_run(tmp_path / "other", [3.0] * 15, env="other")
    make_run(tmp_path / "other2", [3.0] * 15, env="other", seed=1)
    found = collect(tmp_path)
    assert found.ends == [1000, 1500]
    np.testing.assert_array_equal(found.scores["PPO"], [[1, 3], [2, 3]])
    (note,) = found.notes
    assert "CartPole-v1 end between 1,000 and 2,000 steps: all are cut at 1,000" in note
    assert "short ends (--steps N" in note


def test_shorter_runs_are_left_out_on_demand(tmp_path: Path) -> None:
    make_run(tmp_path / "long", [1.0] * 10 + [9.0] * 10)
    make_run(tmp_path / "almost", [4.0] * 197, seed=2, interval=10)
    make_run(tmp_path / "short", [2.0] * 10, seed=1)
    found = collect(tmp_path, steps=2000)
    np.testing.assert_array_equal(found.scores["PPO"], [[4], [9]])
    (note,) = found.notes
    assert re.search(
        r"short is left out: .* 100 to 1,000 steps, the comparison ends at 2,000", note
    )


def test_runs_without_a_return_are_left_out(tmp_path: Path) -> None:
    make_run(tmp_path / "a", [1, 2])
    make_run(tmp_path / "b", [np.nan, np.nan], seed=1)
    make_run(tmp_path / "c", [np.nan, 4], seed=2)
    found = collect(tmp_path)
    np.testing.assert_array_equal(found.scores["PPO"], [[2], [4]])
    assert [note.partition(" has ")[2] for note in found.notes] == [
        "no finite ReturnAverage after its start: left out"
    ]


def test_tasks_that_not_all_have_are_left_out(tmp_path: Path) -> None:
    for algo, env in (("PPO", "a"), ("PPO", "b"), ("A2C", "a")):
        make_run(tmp_path / f"{algo}{env}", [1, 2], algo=algo, env=env)
    found = collect(tmp_path)
    assert found.tasks == ["a"]
    assert found.notes == ["b is left out: A2C has no run of it"]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "no run found in .*run_"),
        ([("PPO", "a")], "is the only run in .*rlpyt plot"),
        ([("PPO", "a"), ("A2C", "b")], r"no environment is common .*\(A2C: b; PPO: a\)"),
    ],
)
def test_runs_that_do_not_compare(
    tmp_path: Path, runs: Sequence[tuple[str, str]], message: str
) -> None:
    for algo, env in runs:
        make_run(tmp_path / algo, [1, 2], algo=algo, env=env)
    with pytest.raises(RlpytError, match=message):
        collect(tmp_path)


def test_nothing_left_says_why(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path / str(seed), [1, 2], seed=seed)
    with pytest.raises(RlpytError, match=r"no run is left - .*0 is left out: .*ends at 5,000"):
        collect(tmp_path, steps=5000)


def test_curves_are_on_points_that_all_runs_have(tmp_path: Path) -> None:
    make_run(tmp_path / "a", np.arange(1, 21).tolist())
    make_run(tmp_path / "b", [np.nan, 4, *range(6, 42, 2)], seed=1)
    found = collect(tmp_path)
    assert found.shares[0] == pytest.approx(0.1)
    assert found.shares[-1] == 1.0
    curves = found.curves["PPO"]
    assert curves.shape == (2, 1, len(found.shares))
    np.testing.assert_allclose(curves[0, 0], 20 * found.shares)
    np.testing.assert_allclose(curves[1, 0], 40 * found.shares)
    make_run(tmp_path / "c", [*[np.nan] * 19, 1], seed=2)
    assert collect(tmp_path).curves == {}


# --- comparison ---


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    root = tmp_path_factory.mktemp("grid")
    make_grid(root)
    return compare_runs([root], replications=1_000)


def test_the_better_algorithm_comes_first_in_everything(comparison: Comparison) -> None:
    assert list(comparison.algorithms) == ["PPO", "A2C"]
    (pair,) = comparison.pairs
    assert (pair.better, pair.other, float(pair.probability.low)) == ("PPO", "A2C", 1.0)
    assert [float(rank.value) for rank in comparison.ranks.values()] == [1.0, 2.0]
    for statistic in comparison.statistics:
        ppo, a2c = (comparison.aggregates[name][statistic] for name in ("PPO", "A2C"))
        apart = ppo.high < a2c.low if statistic == "optimality gap" else ppo.low > a2c.high
        assert apart
    assert (comparison.profiles["PPO"].value >= comparison.profiles["A2C"].value).all()
    assert comparison.curves["PPO"].low[-1] > comparison.curves["A2C"].high[-1]
    assert comparison.notes == [
        "scores are normalised: 0 is a random policy, 1 the reference score (a human's for Atari "
        "games) (--normalize)"
    ]


def test_the_same_seed_gives_the_same_intervals(tmp_path: Path) -> None:
    make_grid(tmp_path, n_rows=4)
    first, again, other = (
        compare_runs([tmp_path], replications=50, seed=seed).as_dict() for seed in (1, 1, 2)
    )
    assert first == again
    assert first["aggregates"] != other["aggregates"]


def test_the_iqm_is_of_normalised_scores(comparison: Comparison) -> None:
    scores = comparison.data.scores["PPO"]
    assert comparison.data.tasks == ["Acrobot-v1", "CartPole-v1"]
    normal = [(scores[:, 0] + 500) / 400, (scores[:, 1] - 22.6) / (475 - 22.6)]
    flat = np.sort(np.concatenate(normal))
    assert comparison.aggregates["PPO"]["IQM"].value == pytest.approx(flat[2:8].mean())


def test_few_seeds_and_raw_scores_are_noted(tmp_path: Path) -> None:
    make_grid(tmp_path, n_seeds=1, n_rows=3)
    found = compare_runs([tmp_path], normalize="none", replications=10)
    assert "optimality gap" not in found.statistics
    scale, few = found.notes
    assert "not on one scale" in scale
    assert few.endswith(
        "none at all: PPO (1 of Acrobot-v1), A2C (1 of Acrobot-v1); train more before you conclude"
    )


# --- report ---

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Fails for tags that do not match; keeps what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.sources += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def paths(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_report(comparison, tmp_path_factory.mktemp("report") / "new" / "out")


def test_the_report_is_whole(paths: list[Path]) -> None:
    assert paths[0].name == "report.html"
    assert {path.name for path in paths} == {
        "report.html",
        "table.tex",
        *(f"{name}.csv" for name in ("aggregates", "scores", "improvement", "profiles", "curves")),
        *(f"{name}.png" for name in ("aggregates", "improvement", "profiles", "curves")),
    }
    text = paths[0].read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert [source[:22] for source in page.sources] == ["data:image/png;base64,"] * 4
    assert {"script", "link", "iframe"}.isdisjoint(page.seen)
    assert not re.search(r"https?:|url\(|@import", text)
    assert "PPO vs. A2C" in text
    for path in paths:
        if path.suffix == ".png":
            image = matplotlib.image.imread(path)
            assert min(image.shape[:2]) > 200
            assert image.std() > 0.05


def test_tables_hold_every_number(comparison: Comparison, paths: list[Path]) -> None:
    tables = {
        path.stem: list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        for path in paths
        if path.suffix == ".csv"
    }
    assert len(tables["scores"]) == 20
    assert len(tables["aggregates"]) == 2 * 5
    assert len(tables["profiles"]) == 2 * len(comparison.thresholds)
    first = tables["aggregates"][0]
    assert (first["algorithm"], first["statistic"]) == ("PPO", "IQM")
    iqm = comparison.aggregates["PPO"]["IQM"]
    assert [float(first[key]) for key in ("value", "low", "high")] == [float(each) for each in iqm]
    for row in tables["scores"]:
        low, high = (22.6, 475.0) if row["environment"] == "CartPole-v1" else (-500.0, -100.0)
        normal = (float(row["score"]) - low) / (high - low)
        assert float(row["normalized"]) == pytest.approx(normal)


def test_one_algorithm_on_one_environment(tmp_path: Path) -> None:
    for seed in range(5):
        make_run(tmp_path / str(seed), [seed], seed=seed)
    found = compare_runs([tmp_path], replications=20)
    names = {path.name for path in write_report(found, tmp_path / "out")}
    assert {"aggregates.png", "profiles.png", "scores.csv"} <= names
    assert names.isdisjoint({"improvement.png", "curves.png", "improvement.csv", "curves.csv"})


def test_names_are_escaped(tmp_path: Path) -> None:
    for name in ("<b>&_1", "x"):
        for seed in range(2):
            make_run(tmp_path / f"{name[-1]}{seed}", [1, 2], algo=name, seed=seed)
    found = compare_runs([tmp_path], replications=20)
    page = Page()
    page.feed(write_report(found, tmp_path / "out")[0].read_text(encoding="utf-8"))
    assert "b" not in page.seen
    assert r"<b>\&\_1 &" in latex_table(found)


def test_a_folder_that_cannot_be_written_is_named(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(RlpytError, match=r"cannot write to .*taken.*choose another"):
        write_report(comparison, tmp_path / "taken" / "out")


def test_numbers_in_tables() -> None:
    texts = [number_text(x) for x in (0.12345, -3.0, 24.06, -499.96, 9583.4)]
    assert texts == ["0.12", "-3.00", "24.1", "-500", "9,583"]
    found = interval_text(Interval(np.float64(1), np.float64(0.5), np.float64(2)))
    assert found == ("1.00", "[0.50, 2.00]")
