"""``rlpyt repro``: train a run twice, and name what differs first."""

import argparse
import json
import math
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, final

from rlpyt.cli.arguments import positive
from rlpyt.cli.command import RUN_ERROR, Command
from rlpyt.cli.rerun import code_importable
from rlpyt.cli.rundir import find_run, load_runner
from rlpyt.cli.samplers import SAMPLERS, as_sampler
from rlpyt.evaluation.runs import load_params
from rlpyt.evaluation.same_run import (
    StateDifference,
    drop_later_states,
    load_states,
    saved_itrs,
    state_differences,
)
from rlpyt.logging.logger import Logger
from rlpyt.logging.provenance import read_sessions
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.config import fresh
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND"]

_POINTS = 20  # states of a stretch that are compared; the stretch before the first that differs is
# then trained again, with as many
_SHOWN = 5  # differences told


class _Place(NamedTuple):
    """Where the two first have different states."""

    itr: int  # iterations done
    rank: int
    differences: list[StateDifference]
    before: (
        int | None
    )  # the last iteration after which they were equal; None: not even at the start


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run's directory")
    parser.add_argument(
        "--against",
        choices=list(SAMPLERS),
        help="train the second time under this sampler (default: under the run's own)",
    )
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="of that sampler (default: from the CPUs)"
    )
    parser.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="compare the first N environment steps (default: all of the run)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="keep both runs here (default: nowhere)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    run_dir = find_run(args.run_dir)
    if args.out is not None and args.out.exists():
        hint = "choose another --out, or take it away"
        raise RlpytError("usage", f"{args.out} is there already", hint=hint)
    with ExitStack() as stack:
        stack.enter_context(code_importable(read_sessions(run_dir)))
        runners, note = _two(load_runner(run_dir), args)
        if args.out is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rlpyt_repro_")))
        else:
            root = args.out
        start = time.perf_counter()
        pair = _Pair(runners, root, load_params(run_dir))
        place = pair.first_difference()
        seconds = time.perf_counter() - start
    told = _told(place, runners, pair.compared, args, note)
    told["seconds"] = round(seconds, 1)
    print(json.dumps(told) if args.json else _sentence(told))
    return 0 if place is None else RUN_ERROR


def _two(runner: BaseRunner, args: argparse.Namespace) -> tuple[list[BaseRunner], str]:
    """The runners to compare, without evaluations; and what was changed for the comparison."""
    if args.workers and args.against in (None, "serial"):
        hint = "use --against cpu, gpu or alternating"
        raise RlpytError("usage", f"--workers {args.workers} of no such sampler", hint=hint)
    stop = min(args.steps or runner.n_steps, runner.n_steps)
    runner = replace(
        runner, evaluator=None, pause_steps=stop, log_interval_steps=runner.steps_per_itr
    )
    if args.against is None:
        return [runner, replace(runner)], ""
    note, sampler = "", runner.sampler
    if sampler.group_size is None:
        note = (
            "both act for one environment at a time (sampler.group_size=1): without a group_size "
            "float sums depend on the sampler"
        )
        sampler = replace(sampler, group_size=1)
    other = as_sampler(sampler, args.against, args.workers)
    return [replace(runner, sampler=sampler), replace(runner, sampler=other)], note


@final
class _Pair:
    """Two runs that are to be one, trained in stretches."""

    def __init__(self, runners: list[BaseRunner], root: Path, params: dict[str, Any]) -> None:
        self.compared = 0  # states
        self._runners, self._root = runners, root
        self._name, self._run_ID = str(params.get("name", "run")), int(params.get("run_ID", 0))

    def first_difference(self) -> _Place | None:
        """None: there is none. Else the stretch in which it comes is trained again from its
        beginning, where both are equal, until it is an iteration long.
        """
        start, end, found = 0, self._runners[0].last_itr, None
        source: Path | None = None
        for number in range(100):
            one, other = self._trained(number, source, end)
            place = self._compared(one, other)
            if place is None:
                return found  # not again: what is known of the stretch before stays
            found = place
            if place.before is None or place.itr - place.before == 1:
                return place
            drop_later_states(one, place.before)
            source, start, end = one, place.before, place.itr
        raise AssertionError(f"iterations {start} to {end} do not end")

    def _trained(self, number: int, source: Path | None, end: int) -> list[Path]:
        """Both, from the newest state in ``source``, or their start, up to iteration ``end``."""
        start = 0 if source is None else max(saved_itrs(source))
        every = math.ceil((end - start) / _POINTS)
        directories = []
        for name, runner in zip(("one", "other"), self._runners, strict=True):
            out = self._root / f"{name}_{number}"
            if source is not None:
                shutil.copytree(source, out)
            steps = runner.steps_per_itr
            made = replace(
                fresh(runner),
                pause_steps=end * steps,
                checkpoint_interval_steps=every * steps,
                keep_checkpoints=2 * _POINTS + 2,
            )
            out.mkdir(parents=True, exist_ok=True)
            logger = Logger(
                out,
                self._name,
                self._run_ID,
                tensorboard=False,
                console=False,
                resume=source is not None,
            )
            try:
                made.train(logger, resume=source is not None)
            finally:
                logger.close()
            directories.append(out)
        return directories

    def _compared(self, one: Path, other: Path) -> _Place | None:
        before = None
        for itr in sorted({*saved_itrs(one)} & {*saved_itrs(other)}):
            states = zip(load_states(one, itr), load_states(other, itr), strict=True)
            for rank, pair in enumerate(states):
                differences = state_differences(*pair)
                if differences:
                    return _Place(itr, rank, differences, before)
            before = itr
            self.compared += 1
        return None


def _told(
    place: _Place | None,
    runners: list[BaseRunner],
    compared: int,
    args: argparse.Namespace,
    note: str,
) -> dict[str, Any]:
    steps = runners[0].steps_per_itr
    told: dict[str, Any] = {
        "identical": place is None,
        "samplers": [type(runner.sampler).__name__ for runner in runners],
        "states_compared": compared,
        "steps": runners[0].last_itr * steps,
    }
    if note:
        told["note"] = note
    if place is not None:
        first = place.differences[0]
        told |= {
            "iteration": place.itr,
            "equal_until": place.before,
            "at_steps": place.itr * steps,
            "rank": place.rank,
            "tensor": first.name,
            "element": first.element,
            "values": [first.one, first.other],
            "differences": [str(each) for each in place.differences],
        }
    return told


def _sentence(told: dict[str, Any]) -> str:
    one, other = told["samplers"]
    who = f"two runs with {one}" if one == other else f"{one} and {other}"
    lines = [told["note"]] if "note" in told else []
    if told["identical"]:
        states = f"{told['states_compared']} states"
        return "\n".join([*lines, f"identical: {who}, {told['steps']:,} steps, {states} compared"])
    until = told["equal_until"]
    since = "from the start" if until is None else f"equal until iteration {until}"
    where = f"iteration {told['iteration']} ({told['at_steps']:,} steps; {since})"
    rank = f", rank {told['rank']}" if told["rank"] else ""
    lines += [f"differs: {who}, first after {where}{rank}"]
    found = told["differences"]
    lines += [f"  {each}" for each in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines += [f"  and {len(found) - _SHOWN} more"]
    return "\n".join(lines)


COMMAND = Command(
    summary="train a run twice, and name what differs first",
    description=(
        "Train what RUN_DIR describes twice, the second time under another sampler with\n"
        "--against, and compare all of the state on the way: parameters, optimizer, replay,\n"
        "generators, environments. Says `identical`, or after which iteration which tensor\n"
        "differs first. RUN_DIR is left as it is; evaluations are left out.\n"
        "\n"
        "Exit code 0: identical. 1: not, or a run failed."
    ),
    examples=(
        "examples:\n"
        "  rlpyt repro data/cartpole\n"
        "  rlpyt repro data/cartpole --against cpu --steps 20000 --json"
    ),
    add_arguments=_add_arguments,
    run=_run,
)
