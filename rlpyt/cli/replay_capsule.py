"""``rlpyt replay-capsule``: an environment's failure, again, in one process."""

import argparse
import faulthandler
import math
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Self, final

from rlpyt.cli.command import RUN_ERROR, USAGE_ERROR, Command, one_line, print_error
from rlpyt.envs.capsule import DIED, HANG, changed_versions, read_capsule
from rlpyt.envs.capsule_replay import ReplayOutcome, replay_capsule
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND"]

_NOTE_EVERY = 5.0  # seconds between two notes of progress
_ARM_EVERY = 1.0  # seconds
_GRACE = 5.0  # seconds for this process's own thread to tell of a hang


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < threading.TIMEOUT_MAX - _GRACE:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a crash capsule: RUN_DIR/capsules/*.json"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="a step that takes longer hangs (default 60)",
    )


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    try:
        return _replay(read_capsule(args.file), args.timeout)
    except RlpytError as error:  # there is nothing to replay
        print_error(error)
        return USAGE_ERROR


def _replay(capsule: dict[str, Any], timeout: float) -> int:
    failure = capsule["failure"]
    recorded = RlpytError(failure["code"], failure["what"], where=failure["where"])
    episode = "none: it failed in its constructor"
    if capsule["episode"] is not None:
        number, seed, steps = capsule["episode"], capsule["episode_seed"], capsule["steps"]
        episode = f"{number}, seed {seed}, {steps} action{'s' * (steps != 1)}"
    print(f"environment  {_env_line(capsule)}")
    print(f"episode      {episode}")
    print(f"recorded     {one_line(str(recorded))}")
    print("replaying ...", flush=True)
    try:
        with _Watch(capsule, timeout) as watch:
            outcome = replay_capsule(capsule, before=watch.before)
    except SystemExit as ended:
        what = f"the environment called sys.exit({ended.code!r})"
        return _tell(capsule, what, reproduced=failure["code"] == DIED)
    return _tell(capsule, _outcome_line(outcome), reproduced=outcome.reproduced)


def _env_line(capsule: dict[str, Any]) -> str:
    name = "unknown" if capsule["env"] is None else capsule["env"].get("id")
    index, n_envs = capsule["env_index"], capsule["n_envs"]
    which = f"env {index}" if n_envs == 1 else f"envs {index} to {index + n_envs - 1}"
    return f"{name} ({which} of a run with seed {capsule['seed']})"


def _outcome_line(outcome: ReplayOutcome) -> str:
    if outcome.error is not None:
        return one_line(str(outcome.error))
    if outcome.ended_early:
        return f"the episode ended at step {outcome.n_actions}"
    return f"nothing failed in {outcome.n_actions} steps"


def _tell(capsule: dict[str, Any], what: str, *, reproduced: bool) -> int:
    """Print what came of it; the exit code."""
    if reproduced:
        print(f"reproduced: {what}", flush=True)
        return 0
    print(f"not reproduced: {what}")
    changed = ", ".join(changed_versions(capsule))
    print(
        f"hint: other versions here may be why: {changed}"
        if changed
        else "hint: it may depend on more than seed and actions: earlier episodes, files, time; "
        "`rlpyt env-check` tells whether the environment is deterministic",
        flush=True,
    )
    return RUN_ERROR


@final
class _Watch:
    """Notes of progress, and the end of this process when a call takes longer than ``timeout``."""

    def __init__(self, capsule: dict[str, Any], timeout: float) -> None:
        self._capsule, self._timeout = capsule, timeout
        self._last = None if capsule["episode"] is None else capsule["steps"]
        self._main = threading.get_ident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._number: int | None = None
        self._since = self._noted = time.monotonic()
        self._armed = -math.inf

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def before(self, number: int | None) -> None:
        """Action ``number`` is next; 0: the reset; ``None``: the constructor."""
        now = time.monotonic()
        self._number, self._since = number, now
        if now > self._armed + _ARM_EVERY or number == self._last:  # rarely: it starts a thread
            self._armed = now  # where a call never lets go of the interpreter's lock
            faulthandler.dump_traceback_later(self._timeout + _GRACE, exit=True, file=2)
        if now > self._noted + _NOTE_EVERY:
            self._noted = now
            print(f"step {number} of {self._last} ...", flush=True)
        if number == self._last:
            self._announce()

    def _announce(self) -> None:
        """Say what the call that comes may do to this process."""
        code, call = self._capsule["failure"]["code"], _call(self._last)
        if code == DIED:
            print(f"{call} comes now: in it the recorded process died", flush=True)
        elif code == HANG:
            wait = f"its stack follows after {self._timeout:g} s if it does again"
            print(f"{call} comes now: in it the recorded process hung; {wait}", flush=True)

    def _watch(self) -> None:
        while not self._done.wait(max(0.0, self._since + self._timeout - time.monotonic()) + 0.01):
            if time.monotonic() >= self._since + self._timeout:
                self._end()

    def _end(self) -> None:
        """Show where the main thread is, and leave: it cannot be stopped."""
        faulthandler.cancel_dump_traceback_later()  # Python runs: it would walk frames that move
        traceback.print_stack(sys._current_frames()[self._main])
        what = f"no return from {_call(self._number)} within {self._timeout:g} s; its stack above"
        code = _tell(self._capsule, what, reproduced=self._capsule["failure"]["code"] == HANG)
        sys.stderr.flush()
        os._exit(code)


def _call(number: int | None) -> str:
    return "the constructor" if number is None else f"step {number}" if number else "the reset"


COMMAND = Command(
    summary="reproduce an environment's failure from its capsule",
    description=(
        "Make the environment that FILE describes, reset it with the episode's seed and\n"
        "take the recorded actions, in this process. The code that FILE names is run: use\n"
        "only files that you trust.\n"
        "\n"
        "Exit code 0: it failed as recorded; of a hang the Python stack is printed.\n"
        "1: it did not. 2: FILE cannot be replayed. What killed the process of the run\n"
        "kills this one, by the same signal. Where code hangs and never lets Python run,\n"
        "`Timeout` and the stack come five seconds later, with exit code 1."
    ),
    examples=(
        "example:\n"
        "  rlpyt replay-capsule data/cartpole/capsules/capsule_env3_episode12_step217.json"
    ),
    add_arguments=_add_arguments,
    run=_run,
)
