"""Runs every preset of ``rlpyt train`` under every sampler, and writes docs/exactness.md: which of
the runs that are to be equal are, to the last bit.

    python scripts/exactness                        all cells, about 20 minutes on two cores
    python scripts/exactness --only ppo,serial      those whose row and column have these words
    python scripts/exactness --json cells.json      goes on with what is in the file already
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from exactness_checks import COLUMNS, run_cell, why_not
from exactness_page import Cells, page
from exactness_rows import ROWS, Row

PAGE = Path(__file__).parents[2] / "docs" / "exactness.md"


def measured(
    cells: list[tuple[Row, str]], jobs: int
) -> Iterator[tuple[Row, str, dict[str, str | None], float]]:
    """Each cell as it is done."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(run_cell, *cell): cell for cell in cells}
        for future in as_completed(futures):
            yield *futures[future], *future.result()


def chosen(only: str) -> list[tuple[Row, str]]:
    """Cells whose row and column have all words of ``only`` among theirs."""
    wanted = {word for word in only.replace(",", " ").split() if word}
    return [
        (row, column)
        for column in COLUMNS
        for row in ROWS
        if wanted <= {row.algorithm, *row.variant.split(), column} and not why_not(row, column)
    ]


def main() -> int:
    """Run; 1 where a cell does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--only", default="", help="words of rows and columns, such as ppo,cpu2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="what was found, cell by cell")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE", help="the page")
    args = parser.parse_args()
    found: Cells = {}
    if args.json is not None and args.json.exists():
        found = json.loads(args.json.read_text(encoding="utf-8"))
    cells = chosen(args.only)
    todo = [(row, column) for row, column in cells if column not in found.get(str(row), {})]
    start = time.perf_counter()
    for number, (row, column, outcome, seconds) in enumerate(measured(todo, args.jobs), 1):
        found.setdefault(str(row), {})[column] = outcome
        wrong = {name: told for name, told in outcome.items() if told is not None}
        held = " ".join(name for name in outcome if name not in wrong)
        place = f"{number}/{len(todo)}"
        print(f"{place:>9} {row!s:30} {column:12} {seconds:6.1f} s  {held}", flush=True)
        for name, told in wrong.items():
            print(f"{'':9} {name}: {told}", flush=True)
        if args.json is not None:
            args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if not args.only:
        args.out.write_text(page(found), encoding="utf-8")
    print(f"{time.perf_counter() - start:.0f} s")
    outcomes = [outcome for columns in found.values() for outcome in columns.values()]
    return int(any(told is not None for outcome in outcomes for told in outcome.values()))


if __name__ == "__main__":
    sys.exit(main())
