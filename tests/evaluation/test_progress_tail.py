"""``progress.csv`` read as it grows."""

import math
from pathlib import Path

import numpy as np
import pytest

from rlpyt.evaluation.progress_tail import ProgressTail, thinned
from rlpyt.evaluation.runs import read_progress
from rlpyt.logging.files import ProgressCsv


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "progress.csv"


def test_only_what_is_new_is_read(path):
    path.write_text("a,b\n1,2\n")
    tail = ProgressTail(path)
    assert tail.look(["b"])
    assert not tail.look(["b"])
    with path.open("a") as file:
        file.write("3,4\n")
    reads: list[int] = []
    before = tail._end
    assert tail.look()
    reads.append(tail._end - before)
    assert list(tail.column("b")) == [2, 4]
    assert reads == [len("3,4\n")]
    assert list(tail.column("a")) == []  # nobody has wanted it


def test_a_row_cut_anywhere_comes_when_it_is_whole(path):
    content = "a,b\n1,2\n3,4.25\n"
    for cut in range(len(content) + 1):
        path.unlink(missing_ok=True)
        path.write_text(content[:cut])
        tail = ProgressTail(path)
        tail.look(["b"])
        assert list(tail.column("b")) == [2, 4.25][: max(0, content[:cut].count("\n") - 1)]
        with path.open("a") as file:
            file.write(content[cut:])
        tail.look()
        assert list(tail.column("b")) == [2, 4.25], cut


def test_equals_reading_it_all_while_columns_appear_and_a_run_goes_back(path):
    csv = ProgressCsv(path)
    tail = ProgressTail(path)
    wanted = ["a", "b", "late, quoted"]

    def check() -> None:
        tail.look(wanted)
        for name, values in read_progress(path.parent).items():
            np.testing.assert_array_equal(tail.column(name), values, strict=False)

    for i in range(5):
        csv.append({"a": i, "b": i / 3})
        check()
    csv.append({"a": 5, "b": 5 / 3, "late, quoted": 7.0})
    check()
    assert math.isnan(tail.column("late, quoted")[0])
    csv.truncate(["a", "b"], 2)
    check()
    csv.append({"a": 9, "b": math.nan})
    check()
    assert list(tail.column("a")) == [0, 1, 9]
    assert tail.n_rows == 3


def test_a_file_of_the_same_size_in_its_place_is_noticed(path):
    """Even where it has the inode of the first, as file systems give them again."""
    path.write_text("a,b\n1,2\n")
    tail = ProgressTail(path)
    tail.look(["b"])
    path.write_text("a,b\n1,7\n8,9\n")  # in place
    tail.look()
    assert list(tail.column("b")) == [7, 9]
    path.write_text("b,a\n1,7\n8,9\n")
    tail.look()
    assert list(tail.column("b")) == [1, 8]


def test_a_file_that_goes_has_no_rows_and_may_come_again(path):
    tail = ProgressTail(path)
    assert not tail.look(["a"])
    path.write_text("a\n1\n")
    assert tail.look()
    path.unlink()
    assert tail.look()
    assert not tail.look()
    assert list(tail.column("a")) == []
    path.write_text("a\n5\n")
    assert tail.look()
    assert list(tail.column("a")) == [5]


def test_rows_that_do_not_fit_and_cells_that_are_no_numbers(path):
    path.write_bytes(b"a,b\n1,2\n3\n4,x\n\xff\xfe,6,7\n8,inf\n")
    tail = ProgressTail(path)
    tail.look(["a", "b"])
    assert list(tail.column("a")) == [1, 4, 8]
    assert math.isnan(tail.column("b")[1])


def test_thinned_keeps_the_mean_the_end_and_leaves_out_what_is_not_finite():
    x = np.arange(1000.0)
    xs, ys = thinned(x, 2 * x, 50)
    assert len(xs) == 50
    assert (xs[-1], ys[-1]) == (999, 1998)
    np.testing.assert_allclose(ys, 2 * np.array(xs))
    xs, ys = thinned([3, 1, 2, 4], [30, 10, math.nan, math.inf], 50)
    assert (xs, ys) == ([1, 3], [10, 30])
    assert thinned([1, 2], [], 50) == ([], [])
