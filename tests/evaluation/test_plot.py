import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from rlpyt.evaluation.curves import Curve, mean_curve, smoothed
from rlpyt.evaluation.plot import plot_runs
from rlpyt.evaluation.runs import find_runs, group_runs, read_progress
from rlpyt.utils.errors import RlpytError


def make_run(
    folder: Path, returns: Sequence[float], params: Mapping[str, Any] | None = None
) -> Path:
    folder.mkdir(parents=True)
    lines = [f"{100 * (i + 1)},{value}\n" for i, value in enumerate(returns)]
    (folder / "progress.csv").write_text("Diagnostics/CumSteps,ReturnAverage\n" + "".join(lines))
    if params is not None:
        (folder / "params.json").write_text(json.dumps(params))
    return folder


def params(seed: int, *, algo: str = "PPO", env: Any = "CartPole-v1", **algo_fields: Any) -> Any:
    return {
        "class": "rlpyt.runners.minibatch_rl.MinibatchRl",
        "algo": {"class": f"rlpyt.algos.pg.{algo}", **algo_fields},
        "sampler": {"env": env, "seed": seed},
        "seed": seed,
        "run_ID": seed,
        "extra": {"host": f"machine {seed}"},
    }


def test_find_runs(tmp_path: Path):
    for name in ("b/run_10", "b/run_2", "a"):
        make_run(tmp_path / name, [1])
    (tmp_path / "c").mkdir()
    found = [
        path.relative_to(tmp_path).as_posix() for path in find_runs([tmp_path, tmp_path / "b"])
    ]
    assert found == ["a", "b/run_2", "b/run_10"]
    assert find_runs([tmp_path / "a" / "progress.csv"]) == [tmp_path / "a"]
    with pytest.raises(RlpytError, match="no such path"):
        find_runs([tmp_path / "nowhere"])


def test_read_progress_skips_the_line_being_written(tmp_path: Path):
    text = 'Diagnostics/CumSteps,"a,b"\n1,nan\n2,oops\n3\n3,0.5\n4,1'
    (tmp_path / "progress.csv").write_text(text)
    columns = read_progress(tmp_path)
    assert list(columns) == ["Diagnostics/CumSteps", "a,b"]
    np.testing.assert_array_equal(columns["a,b"], [np.nan, np.nan, 0.5])
    assert columns["Diagnostics/CumSteps"] == [1, 2, 3]
    (tmp_path / "progress.csv").write_text("")
    assert read_progress(tmp_path) == {}
    with pytest.raises(RlpytError, match=r"cannot read .*nowhere"):
        read_progress(tmp_path / "nowhere")


def test_groups_differ_in_more_than_the_seed(tmp_path: Path):
    runs = [
        make_run(tmp_path / "a0", [1], params(0, learning_rate=0.1)),
        make_run(tmp_path / "a1", [1], params(1, learning_rate=0.1)),
        make_run(tmp_path / "b0", [1], params(0, learning_rate=0.2)),
        make_run(tmp_path / "c0", [1], params(0, algo="A2C", learning_rate=0.1)),
        make_run(tmp_path / "d0", [1], params(0, env="my.envs.make_corridor", learning_rate=0.1)),
    ]
    groups = group_runs(runs)
    found = [(g.algorithm, g.env, g.details, len(g.run_dirs)) for g in groups]
    assert found == [
        ("PPO", "CartPole-v1", "learning_rate=0.1", 2),
        ("PPO", "CartPole-v1", "learning_rate=0.2", 1),
        ("A2C", "CartPole-v1", "", 1),
        ("PPO", "make_corridor", "", 1),
    ]


def test_groups_without_params_are_folders(tmp_path: Path):
    runs = [make_run(tmp_path / name, [1]) for name in ("x/run_0", "x/run_1", "y/run_0")]
    assert [(g.algorithm, len(g.run_dirs)) for g in group_runs(runs)] == [("x", 2), ("y", 1)]


@pytest.mark.parametrize("text", ["{", "[]"])
def test_broken_params_are_named(tmp_path: Path, text: str):
    run = make_run(tmp_path / "a", [1])
    (run / "params.json").write_text(text)
    with pytest.raises(RlpytError, match=r"a/params\.json is not"):
        group_runs([run])


def test_mean_curve_is_over_the_steps_all_runs_have():
    first = Curve(np.array([0.0, 2.0, 4.0]), np.array([0.0, 2.0, 4.0]))
    second = Curve(np.array([1.0, 3.0, 5.0]), np.array([3.0, 3.0, 3.0]))
    x, mean, std = mean_curve([first, second])
    np.testing.assert_array_equal(x, [1, 2, 3, 4])
    np.testing.assert_allclose(mean, [2, 2.5, 3, 3.5])
    np.testing.assert_allclose(std, [1, 0.5, 0, 0.5])


@pytest.mark.parametrize("window", [0, 1, 2, 3, 5, 50])
@pytest.mark.parametrize("size", [1, 2, 9])
def test_smoothing_is_a_centred_moving_average(window: int, size: int):
    y = np.random.default_rng(0).normal(size=size)
    before, after = max(window, 1) // 2, (max(window, 1) - 1) // 2
    if window > 2 * size - 1:
        before = after = size
    expected = [y[max(i - before, 0) : i + after + 1].mean() for i in range(size)]
    np.testing.assert_allclose(smoothed(y, window), expected)


def drawn(path: Path) -> Any:
    image = matplotlib.image.imread(path)
    return image[..., :3]


def near(image: Any, colour: str) -> int:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return int((np.abs(image - wanted).max(axis=-1) < 0.02).sum())


def test_plot_draws_each_group_in_its_colour(tmp_path: Path):
    for seed in range(3):
        make_run(tmp_path / f"a/run_{seed}", [seed, 50 + seed, 100], params(seed))
    make_run(tmp_path / "b/run_0", [0, 10, float("nan"), 20], params(0, algo="A2C"))
    out = plot_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "new" / "curves.png")
    image = drawn(out)
    assert near(image, "#0072B2") > 300
    assert near(image, "#D55E00") > 300
    assert near(image, "#009E73") == 0
    again = plot_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "again.png")
    assert np.array_equal(image, drawn(again))


def test_plot_text(tmp_path: Path):
    for seed in range(2):
        make_run(tmp_path / f"a/run_{seed}", [0, 50, 100], params(seed))
    svg = plot_runs([tmp_path], tmp_path / "curves.svg", smooth=2).read_text()
    for text in ("PPO on CartPole-v1", "PPO (2 runs)", "Return (average)", "Environment steps"):
        assert f"<!-- {text} -->" in svg
    assert "PolyCollection" in svg  # the shaded band
    assert "<!-- mean ± std over runs, moving average of 2 rows -->" in svg


def test_plot_errors(tmp_path: Path):
    with pytest.raises(RlpytError, match="no run found in") as caught:
        plot_runs([tmp_path], tmp_path / "x.png")
    assert caught.value.code == "directory"
    run = make_run(tmp_path / "a", [1, 2], params(0))
    with pytest.raises(RlpytError, match="did you mean 'ReturnAverage'") as caught:
        plot_runs([run], tmp_path / "x.png", y="ReturnAvg")
    assert "a/progress.csv" in caught.value.where
    with pytest.raises(RlpytError, match="did you mean 'Diagnostics/CumSteps'"):
        plot_runs([run], tmp_path / "x.png", x="Diagnostics/CumStep")
    with pytest.raises(RlpytError, match=r"end it in \.png"):
        plot_runs([run], tmp_path / "x.gif")
    with pytest.raises(RlpytError, match="smooth=-1 is negative"):
        plot_runs([run], tmp_path / "x.png", smooth=-1)
    with pytest.raises(RlpytError, match="cannot write"):
        plot_runs([run], run / "progress.csv" / "x.png")
    (run / "progress.csv").write_text("")
    with pytest.raises(RlpytError, match="no row has been logged yet"):
        plot_runs([run], tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_a_run_without_a_finished_episode_is_left_out(tmp_path: Path):
    make_run(tmp_path / "a", [1, 2], params(0))
    young = make_run(tmp_path / "b", [float("nan")], params(1))
    with pytest.warns(UserWarning, match="b has no finite 'ReturnAverage' yet"):
        svg = plot_runs([tmp_path], tmp_path / "x.svg").read_text()
    assert "<!-- PPO (1 run) -->" in svg
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(RlpytError, match="no run has a finite"),
    ):
        plot_runs([young], tmp_path / "y.svg")


def test_commands_that_draw_nothing_do_not_import_matplotlib():
    code = "import sys, rlpyt.cli.main; print('matplotlib' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout == "False\n"
