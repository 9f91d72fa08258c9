"""The matrix as a page of the documentation."""

from exactness_checks import COLUMNS, STOPS, why_not
from exactness_rows import N_ITR, ROWS, Row

__all__ = ["Cells", "page"]

Cells = dict[str, dict[str, dict[str, str | None]]]
"""Row, column, E1 to E8: None where it holds, else what differs."""

_HEAD = f"""# Exactness

Which runs are equal to the last bit: parameters, optimizers, replay, priorities, generators,
normalisers, the state of every environment, and the rows of `progress.csv` but for measurements of
time. This page is written by

```bash
python scripts/exactness
```

which trains each cell for real: every preset of `rlpyt train`, small, {N_ITR} iterations of 64
steps, eight environments in groups of two whose episodes end anywhere. Two runs of your own are
compared by `rlpyt repro` ([more](reproduce.md)).

- **1**: half of a run, resumed to its end, is the whole run.
- **2**: a run resumed at random iterations, in the middle of episodes, is the whole one:
  {STOPS["plain"]} of them, {STOPS["lockstep"]} with `--async`, {STOPS["ranks"]} with two ranks.
- **3**: two runs with the same seed are one.
- **4**: under this sampler it is the run under the serial one.
- **5**: with its sampler in a process of its own, in lockstep, it is the run in one process.
- **6**: two processes that learn together have the same parameters and optimizers.
- **8**: a run that saves after every iteration is one that saves at its end only.

A number in a cell: it holds. ~~Struck out~~: it does not, and what differs stands below. Letters:

- `p`: there is no such cell: it learns from what its present parameters have sampled, and `AsyncRl`
  refuses it, but for lockstep.
- `?`: not run yet.

E7, that a run goes on exactly after it was interrupted (F12), asked to end (F14), killed (F15) or
killed while it saved (F16), is shown by killing: `tests/reliability/test_signals.py`,
`tests/runners/test_resume.py`, `tests/checkpoint/test_checkpoint_kill.py`. That two processes with
half a batch each learn what one does with the whole, to 1e-6, is shown for PPO, DQN and SAC:
`tests/runners/test_world_parity.py`.

"""


def page(cells: Cells) -> str:
    """The page, in Markdown; a question mark where a cell was not run."""
    titles = [column.title for column in COLUMNS.values()]
    lines = [f"| algorithm | replay or memory | {' | '.join(titles)} |"]
    lines.append("|---" * (len(titles) + 2) + "|")
    wrong = []
    for row in ROWS:
        shown = [why_not(row, column) or _shown(cells, row, column) for column in COLUMNS]
        lines.append(f"| {row.algorithm} | {_variant(row)} | {' | '.join(shown)} |")
        wrong += [
            f"- {row}, {COLUMNS[column].title}, {name}: {told}"
            for column, found in cells.get(str(row), {}).items()
            for name, told in found.items()
            if told is not None
        ]
    return _HEAD + "\n".join([*lines, *(["", *wrong] if wrong else [])]) + "\n"


def _variant(row: Row) -> str:
    return {"batch": "-"}.get(row.variant, row.variant)


def _shown(cells: Cells, row: Row, column: str) -> str:
    found = cells.get(str(row), {}).get(column, {})
    parts = [name[1:] if told is None else f"~~{name[1:]}~~" for name, told in found.items()]
    return " ".join(parts) or "?"
