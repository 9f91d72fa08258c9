"""The cells of docs/exactness.md: a handful always, all of them with ``-m slow``."""

import sys
from itertools import product
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "scripts" / "exactness"
sys.path.insert(0, str(FOLDER))  # as running the folder does

from exactness_checks import COLUMNS, Runs, check, why_not  # noqa: E402
from exactness_page import page  # noqa: E402
from exactness_rows import ROWS, Row, small_runner  # noqa: E402

from rlpyt.algos.dqn.base import QAlgorithm  # noqa: E402
from rlpyt.cli.presets.registry import ALGORITHMS  # noqa: E402
from rlpyt.utils.seed import generator_state  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*share .* usable CPU:RuntimeWarning")

HANDFUL = [
    ("a2c, lstm", "serial"),
    ("rainbow, prioritized n-step", "serial"),
    ("sac, sequences", "cpu2"),
    ("drqv2, frames", "serial"),
]
CELLS = [
    pytest.param(
        row,
        column,
        marks=() if (str(row), column) in HANDFUL else pytest.mark.slow,
        id=f"{row}-{column}",
    )
    for row, column in product(ROWS, COLUMNS)
    if not why_not(row, column)
]


@pytest.mark.parametrize(("row", "column"), CELLS)
def test_a_cell_holds(row: Row, column: str, tmp_path: Path) -> None:
    found = check(Runs(row, tmp_path), column)
    assert {"E1", "E2", "E3", "E8"} <= set(found)
    assert found == dict.fromkeys(found)


def test_every_preset_has_a_row() -> None:
    assert {row.algorithm for row in ROWS} == set(ALGORITHMS)
    assert len(set(map(str, ROWS))) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_is_what_it_says(row: Row) -> None:
    replay = getattr(small_runner(row).algo, "replay", None)
    words = set(row.variant.split())
    if row.algorithm == "pearl" or replay is None:
        assert words & {"batch", "lstm", "tasks"}
        return
    assert (replay.prioritized is not None) == ("prioritized" in words)
    assert (replay.sequence_length is not None) == ("sequences" in words)
    assert ("n-step" not in words) or replay.n_step_return == 3


def test_what_is_not_exact_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint without its generator: the resumed run draws other noise."""
    row = next(row for row in ROWS if str(row) == "dqn, uniform")
    load = QAlgorithm.load_state_dict

    def forgetful(self: QAlgorithm, state: dict[str, object]) -> None:
        state["replay"] = {**state["replay"], "rng": generator_state(self.replay._rng)}  # type: ignore[dict-item]
        load(self, state)

    monkeypatch.setattr(QAlgorithm, "load_state_dict", forgetful)
    found = check(Runs(row, tmp_path), "serial")
    assert found["E1"] is not None
    assert found["E2"] is not None
    assert found["E3"] is None
    assert found["E8"] is None
    told = page({str(row): {"serial": found}})
    assert "~~1~~ ~~2~~ 3 8" in told
    assert f"- dqn, uniform, serial, E1: {found['E1']}" in told
