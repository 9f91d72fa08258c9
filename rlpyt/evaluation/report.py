"""A comparison on disk: tables, figures, and all of it as one HTML page without a network."""

import base64
from collections.abc import Mapping
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from rlpyt.evaluation.comparison import Comparison
from rlpyt.evaluation.comparison_figures import comparison_figures
from rlpyt.evaluation.comparison_tables import (
    aggregate_rows,
    csv_tables,
    interval_text,
    latex_table,
    task_rows,
)
from rlpyt.utils.errors import RlpytError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_report"]

_SECTIONS = {
    "aggregates": (
        "Over all environments and seeds",
        "IQM is the mean of the middle half of all scores. Bars are confidence intervals.",
    ),
    "improvement": (
        "Probability of improvement",
        "How likely a run of the first algorithm scores higher than one of the second, on an "
        "environment drawn at random. An interval that holds 0.5 tells nothing apart.",
    ),
    "profiles": (
        "Performance profiles",
        "The share of runs with a score above τ. A curve above another is better; where they "
        "cross, neither is better everywhere.",
    ),
    "curves": ("Sample efficiency", "The interquartile mean of all runs during training."),
}

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60em;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; }
h2 { font-size: 1.15em; margin-top: 2em; }
p { color: #444; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .3em 0 .3em 1.4em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child { padding-left: 0; text-align: left; font-weight: 600; }
thead th { border-bottom: 2px solid #888; }
small { display: block; color: #666; white-space: nowrap; }
img { max-width: 100%; height: auto; }
.note { background: #fff6e0; border-left: 4px solid #e69f00; color: #222; padding: .4em .8em; }
"""


def write_report(comparison: Comparison, out: Path | str) -> list[Path]:
    """Write ``report.html``, ``table.tex``, tables as ``*.csv`` and figures as ``*.png`` into the
    folder ``out``; files of these names are replaced.

    Returns the paths, that of ``report.html`` first.

    Raises:
        RlpytError: ``directory``, where it cannot be written.
    """
    folder = Path(out)
    images = {name: _png(figure) for name, figure in comparison_figures(comparison).items()}
    files: dict[str, bytes] = {"report.html": _page(comparison, images).encode()}
    files["table.tex"] = latex_table(comparison).encode()
    files |= {f"{name}.csv": text.encode() for name, text in csv_tables(comparison).items()}
    files |= {f"{name}.png": image for name, image in images.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        what = f"cannot write to {folder}: {error.strerror}"
        raise RlpytError("directory", what, hint="choose another folder") from error
    return [folder / name for name in files]


def _png(figure: "Figure") -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()


def _page(comparison: Comparison, images: Mapping[str, bytes]) -> str:
    names, tasks = comparison.algorithms, comparison.data.tasks
    subject = " vs. ".join(names) if len(names) < 5 else f"{len(names)} algorithms"
    where = ", ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} environments"
    title = escape(f"{subject} on {where}")
    parts = [
        f"<h1>{title}</h1>",
        *(f'<p class="note">{escape(note)}</p>' for note in comparison.notes),
    ]
    for name, (heading, text) in _SECTIONS.items():
        if name not in images:
            continue
        parts += [f"<h2>{heading}</h2>", f"<p>{escape(text)}</p>"]
        if name == "aggregates":
            parts.append(_aggregates(comparison))
        data = base64.b64encode(images[name]).decode()
        parts.append(f'<img alt="{escape(heading)}" src="data:image/png;base64,{data}">')
    parts += ["<h2>Each environment</h2>", _tasks(comparison)]
    parts += ["<h2>How it was computed</h2>", _method(comparison)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _table(heads: list[str], rows: Mapping[str, list[str]]) -> str:
    """A table of cells that are HTML already; the rows' names are not."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}'
        "</tr>"
        for name, cells in rows.items()
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _aggregates(comparison: Comparison) -> str:
    rows = aggregate_rows(comparison)
    columns = list(next(iter(rows.values())))
    cells = {
        name: [
            f"{value} <small>{span}</small>" for value, span in map(interval_text, each.values())
        ]
        for name, each in rows.items()
    }
    return _table(["algorithm", *columns], cells)


def _tasks(comparison: Comparison) -> str:
    text = f"{comparison.rule.text}: mean ± standard deviation over runs, not normalised (runs)."
    rows = {
        task: [escape(cell) for cell in each.values()]
        for task, each in task_rows(comparison).items()
    }
    return f"<p>{escape(text)}</p>\n" + _table(["environment", *comparison.algorithms], rows)


def _method(comparison: Comparison) -> str:
    data = comparison.data
    ends = ", ".join(f"{t}: {e:,.0f}" for t, e in zip(data.tasks, data.ends, strict=True))
    lines = [
        f"Score of a run: {comparison.rule.text}, of the steps up to a common end ({ends}).",
        f"Scale: {comparison.normalization.text or 'scores as they are'}.",
        f"{100 * comparison.confidence:g} % intervals: percentiles of the stratified bootstrap "
        f"over runs, {comparison.replications:,} replications (2,000 at most for curves), seed "
        f"{comparison.seed}; {comparison.n_runs} runs of each environment "
        "(Agarwal et al. 2021, arXiv:2108.13264).",
        f"{len(data.runs)} runs; each one's score is in scores.csv.",
    ]
    return "\n".join(f"<p>{escape(line)}</p>" for line in lines)
