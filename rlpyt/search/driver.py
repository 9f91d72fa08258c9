"""The search itself: it puts runs into the queue as results come, until there is nothing to do."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from rlpyt.launch.affinity import get_n_run_slots
from rlpyt.launch.launcher import Launcher
from rlpyt.launch.queue import Queue
from rlpyt.search.plan import SearchPlan
from rlpyt.search.program import Program, trial_name
from rlpyt.search.results import SearchResult, objective_text, result_of, settings_text
from rlpyt.search.standing import WORST, Scores, Standing, iqm_of, merit
from rlpyt.search.tpe import ask_optuna

__all__ = ["Driver"]

_LOOK = 1.0  # seconds between two looks at runs that others' launchers have


@final
class Driver:
    """Runs a search in ``directory``.

    What it decides follows from the plan and from what the queue and the runs' files say: it can be
    ended at any point, and goes on when it is made again. Other launchers may take part in the
    queue.
    """

    def __init__(
        self,
        plan: SearchPlan,
        program: Program,
        directory: Path,
        *,
        affinity_code: str = "auto",
        check: Callable[[Mapping[str, Mapping[str, Any]]], object] = lambda points: None,
        tell: Callable[[str], None] = print,
    ) -> None:
        """``check`` is given the values of trials that the plan does not know, by name, before they
        are queued; ``tell`` a line for everything that happens.
        """
        self._plan, self._program, self._directory = plan, program, directory
        self._code, self._check, self._tell = affinity_code, check, tell
        self._standing = Standing(plan, directory)
        self._values = dict(enumerate(plan.values()))
        self._told: set[tuple[int, int]] = set()  # trial and rung
        self._best: tuple[int, tuple[float, int], int] | None = None  # rung, merit, minus trial

    def run(self) -> SearchResult:
        """To the end; as far as nobody has stopped runs.

        Raises:
            RlpytError: ``config``, where the directory holds another search; ``plot``, where runs
                lack the column that is to be scored.
            SystemExit: 130 or 143, after SIGINT or SIGTERM.
        """
        self._plan.write(self._directory, self._program.name)
        with Queue(self._directory, create=True) as queue:
            self._standing.look(queue)
            if self._standing.runs:
                self._tell_finished(quietly=True)
                n_done = len({number for number, _ in self._told})
                self._tell(
                    f"going on: {len(self._standing.runs)} trials there, {n_done} with results"
                )
            self._advance(queue)
            while self._standing.n_open:

                def tell(line: str) -> None:
                    self._tell(line)
                    self._advance(queue)

                Launcher(queue, self._code, tell=tell).drain()
                self._advance(queue)
                if self._standing.n_open:  # others run them
                    time.sleep(_LOOK)
            return result_of(self._standing)

    def _advance(self, queue: Queue) -> None:
        """See what has come, say so, and queue what follows from it."""
        self._standing.look(queue)
        self._tell_finished()
        if self._plan.method == "optuna":
            self._ask(queue)
        else:
            self._begin(queue, [n for n in self._values if n not in self._standing.runs])
            self._promote(queue)

    def _begin(self, queue: Queue, numbers: list[int]) -> None:
        if numbers:
            specs = [
                spec
                for number in numbers
                for spec in self._program.specs(self._plan, number, self._values[number], 0)
            ]
            queue.add(specs)
            self._standing.look(queue)

    def _promote(self, queue: Queue) -> None:
        """The best of each rung that is complete go on to the next."""
        plan, standing = self._plan, self._standing
        candidates = list(range(plan.n_trials))
        for rung in range(plan.n_rungs - 1):
            ranked = standing.ranked(candidates, rung)
            if ranked is None:
                return
            candidates = [
                number
                for number in ranked[: plan.n_kept[rung + 1]]
                if iqm_of(standing.scores(number, rung) or {}) > WORST
            ]
            behind = [n for n in candidates if not self._is_in(n, rung + 1)]
            if behind:
                names = ", ".join(trial_name(number) for number in behind)
                self._tell(f"rung {rung + 1} of {plan.n_rungs} is complete; {names} go on")
            for number in behind:
                values = standing.values(number)
                queue.extend(self._program.specs(plan, number, values, rung + 1))
            standing.look(queue)

    def _is_in(self, number: int, rung: int) -> bool:
        """Whether all the trial's runs that can be are in ``rung``, or beyond."""
        runs = self._standing.runs[number].values()
        return all(self._standing.rung(run) >= rung for run in runs if run.state != "failed")

    def _ask(self, queue: Queue) -> None:
        """New trials, while slots are free."""
        plan, standing = self._plan, self._standing
        n_slots = get_n_run_slots(self._code)
        while len(standing.runs) < plan.n_trials and standing.n_open < n_slots:
            finished = []
            for number in sorted(standing.runs):
                scores = standing.scores(number, 0)
                if scores is not None:
                    finished.append((standing.values(number), iqm_of(scores)))
            number = max(standing.runs, default=-1) + 1
            self._values[number] = ask_optuna(
                plan.space, finished, seed=plan.search_seed, number=number
            )
            self._check({trial_name(number): self._values[number]})
            self._begin(queue, [number])

    def _tell_finished(self, *, quietly: bool = False) -> None:
        """A line for each trial that is through with a rung since the last look."""
        for number in sorted(self._standing.runs):
            top = max(self._standing.rung(run) for run in self._standing.runs[number].values())
            for rung in range(top + 1):
                scores = self._standing.scores(number, rung)
                if scores is None or (number, rung) in self._told:
                    continue
                self._told.add((number, rung))
                found = (rung, merit(scores), -number)
                self._best = max(self._best or found, found)
                if not quietly:
                    self._tell(self._line(number, rung, scores))

    def _line(self, number: int, rung: int, scores: Scores) -> str:
        assert self._best is not None  # this one at least
        values = settings_text(self._standing.values(number))
        pause = self._plan.pauses[rung]
        after = "" if pause is None else f" after {pause:,} steps"
        line = f"{trial_name(number)}: {objective_text(scores)}{after}, {values}"
        best_rung, (best_iqm, _), best = self._best
        if -best == number and best_rung == rung:
            return f"{line}; the best so far"
        return f"{line}; best so far: {trial_name(-best)}, {best_iqm:.4g}"
