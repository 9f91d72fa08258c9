"""Q-learning, interrupted and resumed with its replay, is the uninterrupted run, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from q_runs import BATCH, LEARN, WRAPS, q_runner, saved_itr, stop_after
from runner_fakes import assert_same_run, final_state, train

from rlpyt.logging.run_state import read_run_state
from rlpyt.runners.evaluator import Evaluator

pytestmark = pytest.mark.filterwarnings("ignore:.*share .* usable CPU:RuntimeWarning")

N_ITR = 150
# Before it learns, as it begins to, before, at and behind the first wrap, and after several.
STOPS = [3, LEARN // BATCH, WRAPS - 1, WRAPS, WRAPS + 1, 2 * WRAPS + 20]
VARIANTS = ["dqn", "dqn-frames", "rainbow", "iqn", "r2d1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``whole(variant)``: the directory of the uninterrupted run."""
    root = tmp_path_factory.mktemp("whole")

    def run(variant: str) -> Path:
        if not (root / variant).exists():
            train(q_runner(variant, n_itr=N_ITR), root / variant)
        return root / variant / "run_0"

    return run


def through(
    stops: list[int], layouts: list[str], variant: str, log_dir: Path, **settings: Any
) -> Path:
    """A run that is stopped at each of these iterations, under one sampler after the other."""
    run_dir = log_dir / "run_0"
    for n, stop in enumerate(stops):
        with stop_after(stop):
            train(q_runner(variant, layouts[n % len(layouts)], **settings), log_dir, resume=n > 0)
        assert read_run_state(run_dir) == "interrupted"
        assert saved_itr(run_dir) == stop
    layout = layouts[len(stops) % len(layouts)]
    train(q_runner(variant, layout, **settings), log_dir, resume=True)
    assert read_run_state(run_dir) == "done"
    return run_dir


def replay_of(run_dir: Path) -> dict[str, Any]:
    """The arrays of the replay in the last checkpoint."""
    arrays = final_state(run_dir)["arrays"]
    return {k: v for k, v in arrays.items() if k.startswith("algo/replay/")}


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "iqn"])
def test_resumed_with_its_replay_is_uninterrupted(tmp_path: Path, whole, variant: str) -> None:
    resumed = through(STOPS, ["serial"], variant, tmp_path, n_itr=N_ITR)
    assert_same_run(whole(variant), resumed)
    assert replay_of(resumed)


@pytest.mark.parametrize("variant", ["dqn", "rainbow", "r2d1"])
def test_resumed_under_other_samplers(tmp_path: Path, whole, variant: str) -> None:
    layouts = ["serial", "cpu2", "gpu2", "alternating2"]
    resumed = through([10, 40, WRAPS + 5], layouts, variant, tmp_path, n_itr=N_ITR)
    assert_same_run(whole(variant), resumed)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["serial", "cpu2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_thousand_iterations(tmp_path: Path, variant: str, layout: str) -> None:
    settings = {"n_itr": 2_000, "evaluator": Evaluator(episodes=4, n_envs=4, greedy=False)}
    one = train(q_runner(variant, "serial", **settings), tmp_path / "whole")
    other = through([*STOPS, 777, 1_024, 1_999], [layout], variant, tmp_path / "parts", **settings)
    assert_same_run(one, other)


def test_noise_is_part_of_the_state(tmp_path: Path, whole) -> None:
    """A noisy net acts by the noise of the last update, also after it was resumed."""
    arrays = final_state(whole("rainbow"))["arrays"]
    for network in ("agent/model", "algo/target"):
        noises = [v for k, v in arrays.items() if k.startswith(network) and "noise_" in k]
        assert len(noises) == 8
        assert all(bool((noise != 0).all()) for noise in noises)
