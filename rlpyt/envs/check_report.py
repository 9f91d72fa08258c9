"""What `rlpyt env-check` found, and how it is shown."""

from dataclasses import dataclass, field
from typing import Any, Literal, final

from gymnasium import Space
from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["EnvReport", "Finding", "print_report"]

Level = Literal["ok", "warning", "error"]
_STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "error": "red"}


@final
@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    An *error* stops a sampler or spoils its data; with a *warning* training works, at some price.
    """

    level: Level
    topic: str  # what was looked at: "reset", "observation", "reward", "ends", ...
    what: str  # the value found and the value expected
    mend: str = ""  # what to change; empty where all is well


@final
@dataclass(kw_only=True)
class EnvReport:
    """Findings and facts about one environment; times are in microseconds, lengths in steps."""

    env: str
    findings: list[Finding] = field(default_factory=list)
    observation_space: Space[Any] | None = None
    action_space: Space[Any] | None = None
    step_time_p50: float | None = None
    step_time_p99: float | None = None
    reset_time: float | None = None  # median
    episode_lengths: list[int] = field(default_factory=list)  # episodes that ended
    picklable: bool = False  # the callable and its arguments: what a spawned worker is sent

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return all(finding.level != "error" for finding in self.findings)

    @property
    def problems(self) -> list[Finding]:
        """Errors and warnings, errors first."""
        errors = [finding for finding in self.findings if finding.level == "error"]
        return errors + [finding for finding in self.findings if finding.level == "warning"]

    def add(self, *findings: Finding) -> None:
        """Take in findings; of those alike in level, topic and remedy the first is kept."""
        seen = {(known.level, known.topic, known.mend) for known in self.findings}
        for finding in findings:
            key = (finding.level, finding.topic, finding.mend)
            if key not in seen:
                seen.add(key)
                self.findings.append(finding)

    def add_ok(self, topic: str, what: str) -> None:
        """Record that ``topic`` is well, unless a problem of it is known."""
        if not self.has_problem(topic):
            self.findings.append(Finding(level="ok", topic=topic, what=what))

    def has_problem(self, topic: str, *, level: Level | None = None) -> bool:
        """Whether ``topic`` has an error or a warning, or one of ``level``."""
        levels = ("warning", "error") if level is None else (level,)
        return any(f.topic == topic and f.level in levels for f in self.findings)


def print_report(report: EnvReport, console: Console) -> None:
    """Show the facts, every finding, each problem with how to mend it, and the verdict."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in _facts(report):
        table.add_row(name, escape(value))
    console.print(f"[bold]{escape(report.env)}[/bold]")
    console.print(table)
    for finding in [f for f in report.findings if f.level == "ok"] + report.problems:
        style = _STYLES[finding.level]
        what = escape(f"{finding.topic}: {finding.what}")
        console.print(f"[{style}]{finding.level:<8}[/{style}]{what}", highlight=False)
        if finding.mend:
            console.print(f"{'':8}mend: {escape(finding.mend)}", highlight=False)
    console.print(_verdict(report), highlight=False)


def _facts(report: EnvReport) -> list[tuple[str, str]]:
    facts = [("picklable", "yes" if report.picklable else "no")]
    if report.observation_space is not None:
        facts.append(("observation space", str(report.observation_space)))
    if report.action_space is not None:
        facts.append(("action space", str(report.action_space)))
    if report.step_time_p50 is not None and report.step_time_p99 is not None:
        times = f"p50 {report.step_time_p50:.1f} µs, p99 {report.step_time_p99:.1f} µs"
        facts.append(("step time", f"{times} ({1e6 / report.step_time_p50:,.0f} steps/s)"))
    if report.reset_time is not None:
        facts.append(("reset time", f"{report.reset_time:.1f} µs"))
    if report.episode_lengths:
        low, high = min(report.episode_lengths), max(report.episode_lengths)
        lengths = f"{low}" if low == high else f"{low} to {high}"
        facts.append(("episodes", f"{len(report.episode_lengths)} of {lengths} steps"))
    return facts


def _verdict(report: EnvReport) -> str:
    errors = sum(finding.level == "error" for finding in report.findings)
    warnings = len(report.problems) - errors
    if not report.problems:
        return "[green]No problem found.[/green]"
    named = ((errors, "error"), (warnings, "warning"))
    counts = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in named if n]
    style = "red" if errors else "yellow"
    return f"[{style}]{', '.join(counts)}.[/{style}]"
