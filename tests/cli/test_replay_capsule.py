"""rlpyt replay-capsule: the failure again, and what its exit code says."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from warm_python import start

from rlpyt.envs.build import EnvConfig
from rlpyt.envs.capsule import DIED, HANG, capsule_from_history, write_capsule
from rlpyt.utils.config import config_dict
from rlpyt.utils.seed import Stream


class Crashing(gymnasium.Env):
    """At its third step, or earlier, ``fault`` happens."""

    def __init__(self, fault: str = "") -> None:
        self.observation_space = spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.fault = fault
        self._maybe("constructor")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        self._maybe("reset")
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        if self.fault == "slow":
            time.sleep(0.2)
        if self.t == 3:
            self._maybe("step")
        return np.zeros(1, np.float32), 0.0, self.fault == "end", False, {}

    def _maybe(self, method: str) -> None:
        fault, _, where = self.fault.partition(" in ")
        if where != method:
            return
        if fault == "raise":
            raise ValueError("boom")
        if fault == "exit":
            sys.exit(3)
        if fault == "hang":
            time.sleep(300)
        if fault == "lock":
            ctypes.PyDLL(None).sleep(300)  # in C, with the interpreter's lock
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGSEGV)


def capsule_file(
    folder: Path, fault: str, *, code: str = "env", what: str = "", steps: int = 3, **changes: Any
) -> Path:
    """The capsule of a :class:`Crashing` environment that is said to have ended with ``what``."""
    capsule = capsule_from_history(
        config_dict(EnvConfig(id=Crashing, kwargs={"fault": fault})),
        env_index=4,
        seed=7,
        stream=Stream.ENV,
        episode=None if fault.endswith("constructor") else 2,
        actions=[np.int64(1)] * steps,
        failure={"code": code, "what": what, "where": "worker 1"},
    )
    return write_capsule(folder, {**capsule, **changes})


BOOM = "env 4 raised ValueError in step: boom"


def test_a_reproduced_failure(rlpyt, tmp_path):
    result = rlpyt("replay-capsule", capsule_file(tmp_path, "raise in step", what=BOOM))
    assert result.code == 0
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[0] == f"environment  {__name__}:Crashing (env 4 of a run with seed 7)"
    assert lines[1].startswith("episode      2, seed ")
    assert lines[1].endswith(", 3 actions")
    assert lines[2] == f"recorded     ERROR env: {BOOM} (worker 1)"
    assert lines[3] == "replaying ..."
    assert lines[4].startswith(f"reproduced: ERROR env: {BOOM} ({__file__}:")
    assert len(lines) == 5


def test_a_reproduced_failure_of_the_constructor_and_of_the_reset(rlpyt, tmp_path):
    for method, name in (("constructor", "its constructor"), ("reset", "reset")):
        what = f"env 4 raised ValueError in {name}: boom"
        path = capsule_file(tmp_path, f"raise in {method}", what=what, steps=0)
        result = rlpyt("replay-capsule", path)
        assert result.code == 0, result.out
        assert f"reproduced: ERROR env: {what}" in result.out


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("", "nothing failed in 3 steps"),
        ("end", "the episode ended at step 1"),
        ("raise in reset", "ERROR env: env 4 raised ValueError in reset: boom"),
        ("exit in step", "the environment called sys.exit(3)"),
    ],
)
def test_what_is_not_reproduced_is_told_with_a_hint(rlpyt, tmp_path, fault, line):
    result = rlpyt("replay-capsule", capsule_file(tmp_path, fault, what=BOOM))
    assert result.code == 1
    last = result.out.splitlines()[-2:]
    assert last[0].startswith(f"not reproduced: {line}")
    assert last[1].startswith("hint: it may depend on more than seed and actions")


def test_other_versions_are_the_hint(rlpyt, tmp_path):
    path = capsule_file(tmp_path, "", what=BOOM)
    data = json.loads(path.read_text())
    data["versions"] |= {"numpy": "1.0", "python": "2.7"}
    path.write_text(json.dumps(data))
    result = rlpyt("replay-capsule", path)
    assert result.code == 1
    assert f"numpy {np.__version__}, was 1.0" in result.out
    assert ", was 2.7" in result.out


def test_what_the_process_died_of_is_announced(rlpyt, tmp_path):
    path = capsule_file(tmp_path, "exit in step", code=DIED, what="worker 1 exited with 3")
    result = rlpyt("replay-capsule", path)
    assert result.code == 0
    assert result.out.splitlines()[-2:] == [
        "step 3 comes now: in it the recorded process died",
        "reproduced: the environment called sys.exit(3)",
    ]
    path = capsule_file(tmp_path, "", code=HANG, what="worker 1 hung", steps=0)
    result = rlpyt("replay-capsule", path, "--timeout", "9")
    assert result.code == 1
    assert "the reset comes now: in it the recorded process hung; its stack" in result.out


def test_what_cannot_be_replayed_is_one_line_and_another_code(rlpyt, tmp_path):
    (tmp_path / "half.json").write_text('{"format": 1')
    for path, text in (
        (tmp_path / "none.json", "cannot read"),
        (tmp_path / "half.json", "is not JSON"),
        (capsule_file(tmp_path, "", env=None), "does not say how to make the environment"),
        (capsule_file(tmp_path, "", actions=None), "none of its 3 actions"),
        (
            capsule_file(tmp_path, "", env=config_dict(EnvConfig(id="NoSuchEnv-v0"))),
            "NoSuchEnv",
        ),
    ):
        result = rlpyt("replay-capsule", path)
        assert result.code == 2
        assert text in result.error


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_is_a_time(rlpyt, tmp_path, seconds):
    path = capsule_file(tmp_path, "")
    result = rlpyt("replay-capsule", path, f"--timeout={seconds}")
    assert result.code == 2
    assert "no number of seconds above 0" in result.error


# --- what ends the process -----------------------------------------------------------------------

CODE = """
import sys
import rlpyt.cli.replay_capsule as command
from rlpyt.cli.main import main
command._GRACE = 0.5
sys.exit(main(sys.argv[1:]))
"""


def replay(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    paths = [str(Path(__file__).parent), *sys.path]
    process = start(
        ["-c", CODE, "replay-capsule", path, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(words, process.returncode or 0, out, err)


def test_a_hang_is_reproduced_with_its_stack(tmp_path):
    done = replay(capsule_file(tmp_path, "hang in step", code=HANG), "--timeout", "0.5")
    assert done.returncode == 0, done.stderr
    assert "reproduced: no return from step 3 within 0.5 s" in done.stdout
    assert "time.sleep(300)" in done.stderr
    assert f'"{__file__}"' in done.stderr


def test_a_hang_that_was_none_is_not_reproduced(tmp_path):
    done = replay(capsule_file(tmp_path, "hang in constructor", steps=0), "--timeout", "0.5")
    assert done.returncode == 1
    assert "not reproduced: no return from the constructor within 0.5 s" in done.stdout


def test_a_hang_that_lets_no_python_run_ends_too(tmp_path):
    done = replay(capsule_file(tmp_path, "lock in reset", code=HANG, steps=0), "--timeout", "0.5")
    assert done.returncode == 1
    assert "the reset comes now: in it the recorded process hung" in done.stdout
    assert "Timeout (0:00:01)!" in done.stderr
    assert "in reset" in done.stderr


def test_what_kills_the_process_kills_this_one(tmp_path):
    done = replay(capsule_file(tmp_path, "kill in step", code=DIED))
    assert done.returncode == -signal.SIGSEGV
    assert done.stdout.endswith("step 3 comes now: in it the recorded process died\n")


def test_the_timeout_is_that_of_a_step_not_of_all(tmp_path):
    done = replay(capsule_file(tmp_path, "slow", steps=6), "--timeout", "0.9")
    assert "not reproduced: nothing failed in 6 steps" in done.stdout, done.stderr
