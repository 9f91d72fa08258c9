"""F04, F07-F09: what an environment raises or returns is told by the master as if it had happened
there, with the child's traceback and a capsule that reproduces it.
"""

import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from fault_envs import FaultyDict, episode_length
from post_conditions import AssertClean, slowness
from small_runs import KINDS, B, in_child, runner, sampling, train, train_words

from rlpyt.cli.main import main
from rlpyt.envs.capsule import read_capsule
from rlpyt.utils.errors import RlpytError

ENV = 2  # the victim, in worker 1 of 2
HERE = Path(__file__).parent


def failed_run(kind: str, folder: Path, **settings: Any) -> RlpytError:
    start = time.monotonic()
    with pytest.raises(RlpytError) as caught:
        train(runner(kind, **{"victim": ENV, **settings}), folder)
    assert time.monotonic() - start < (5 + 5) * slowness()  # with the start of the workers
    return caught.value


def capsule_path(error: RlpytError) -> Path:
    found = re.search(r"`rlpyt replay-capsule ([^`]+)`", error.hint)
    assert found, error.hint
    return Path(found.group(1))


@pytest.mark.faults("F04")
@pytest.mark.parametrize(
    ("kind", "method", "fault"),
    [
        *((kind, "step", "raise") for kind in KINDS),
        ("cpu", "step", "raise own"),
        ("cpu", "reset", "raise"),
        ("gpu", "reset", "raise own"),
    ],
)
def test_the_error_of_the_child(kind, method, fault, tmp_path, capsys, assert_clean: AssertClean):
    error = failed_run(kind, tmp_path, fault=f"{fault} in {method}", episode=2)
    kind_of_error = "ValueError" if fault == "raise" else "SimulatorError"
    text = "the simulator\nis gone" if fault == "raise" else "('no contact', 7)"
    assert error.code == "env"
    assert error.what == f"env {ENV} raised {kind_of_error} in {method}: {text}"
    step = 2 if method == "step" else 0
    assert re.fullmatch(
        rf"{HERE}/fault_envs\.py:\d+, episode 2, step {step}, episode seed \d+, "
        r"worker \d, pid \d+, envs \d-\d, its step \d+",
        error.where,
    ), error.where
    # The child's traceback is the cause, and stands in the log.
    cause = str(error.__cause__)
    assert f'fault_envs.py", line {error.where.split(":")[1].split(",")[0]}, in fault' in cause
    assert f"{kind_of_error}: {text}" in cause
    log = (tmp_path / "run_0" / "debug.log").read_text()
    assert kind_of_error in log
    assert all(line in log for line in cause.splitlines())
    assert_clean(tmp_path / "run_0", "failed(env)", error)
    # It happens again in one process.
    capsule = read_capsule(capsule_path(error))
    assert (capsule["env_index"], capsule["episode"]) == (ENV, 2)
    assert main(["replay-capsule", str(capsule_path(error))]) == 0
    assert f"reproduced: ERROR env: env {ENV} raised {kind_of_error}" in capsys.readouterr().out


@pytest.mark.faults("F04")
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_constructor_that_raises_in_a_worker(kind, tmp_path, assert_clean: AssertClean):
    error = failed_run(kind, tmp_path, fault="raise in __init__", workers=True)
    assert re.fullmatch(
        r"env [0-3] raised ValueError in its constructor: the simulator\nis gone", error.what
    )
    assert re.search(r"worker \d, pid \d+, envs \d-\d, its step 0", error.where)
    assert "ValueError: the simulator" in str(error.__cause__)
    assert read_capsule(capsule_path(error))["episode"] is None
    assert_clean(tmp_path / "run_0", "failed(env)", error)


@pytest.mark.faults("F04")
def test_a_constructor_that_raises_everywhere(tmp_path, capsys, assert_clean: AssertClean):
    error = failed_run("cpu", tmp_path, fault="raise in __init__")
    assert error.what.startswith("env 0 raised ValueError in its constructor")
    assert_clean(tmp_path / "run_0", "failed(env)", error)
    assert main(["replay-capsule", str(capsule_path(error))]) == 0
    assert "reproduced: " in capsys.readouterr().out


@pytest.mark.faults("F04")
@pytest.mark.parametrize("kind", ["serial", "cpu", "gpu"])
def test_a_close_that_raises(kind, tmp_path, capfd, assert_clean: AssertClean):
    """All is done and saved by then; the run says nevertheless what went wrong."""
    error = failed_run(kind, tmp_path, fault="raise in close")
    assert error.what == f"env {ENV} raised ValueError in close: the simulator\nis gone"
    assert "Traceback" not in capfd.readouterr().err
    assert_clean(tmp_path / "run_0", "failed(env)", error)


@pytest.mark.faults("F04")
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_an_exception_that_nobody_should_raise(kind, tmp_path, assert_clean: AssertClean):
    """One that is no Exception, as sys.exit's: the process ends."""
    error = failed_run(kind, tmp_path, fault="raise base in step")
    assert error.what == "worker 1 ended with exit code 1"
    assert read_capsule(capsule_path(error))["env_index"] == ENV
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


BAD = {
    "nan": "observation[1] = nan, expected a finite number",
    "inf": "observation[2] = -inf, expected a finite number",
    "nan reward": "reward = nan, expected a finite number",
    "inf reward": "reward = inf, expected a finite number",
    "shape": "observation of shape (5,), its space says (3,)",
    "dtype": "observation of dtype float64, its space says float32",
    "object": "observation of dtype object, its space says float32",
    "array reward": "reward of shape (1,), expected one real number",
    "no reward": "reward of NoneType, expected one real number",
}
BAD_DICT = {
    "missing key": "observation with the keys ['near', 'x'], its space says ['goal', 'near', 'x']",
    "extra key": "observation with the keys ['goal', 'more', 'near', 'x'], its space says "
    "['goal', 'near', 'x']",
    "outside": "observation['goal'] = 4, its space says 0 to 3",
}


@pytest.mark.faults("F07", "F08")
@pytest.mark.parametrize("fault", [*BAD, *BAD_DICT])
def test_what_no_environment_should_return(fault, tmp_path, assert_clean: AssertClean):
    kind = "gpu" if "reward" in fault or "key" in fault else "cpu"
    env = {"env": FaultyDict} if fault in BAD_DICT else {}
    error = failed_run(kind, tmp_path, fault=f"{fault} in step", episode=1, **env)
    told = {**BAD, **BAD_DICT}[fault]
    assert error.code == "env"
    assert error.what == f"env {ENV} returned {told}"
    steps = episode_length(ENV, 0) + 2  # whole steps of the worker before
    assert "episode 1, step 3, episode seed " in error.where or "one real number" in told
    assert error.where.endswith(f"its step {steps}")  # noticed in the same step
    capsule = read_capsule(capsule_path(error))
    assert (capsule["env_index"], capsule["episode"], capsule["steps"]) == (ENV, 1, 3)
    assert_clean(tmp_path / "run_0", "failed(env)", error)


@pytest.mark.faults("F09")
@pytest.mark.parametrize("kind", ["serial", *KINDS])
def test_a_buffer_that_the_environment_uses_again(kind, assert_clean: AssertClean):
    """What is stored was copied: it does not change with the environment's own array."""
    stored = []
    for same_buffer in (False, True):
        with sampling(kind, same_buffer=same_buffer, group_size=B // 2) as made:
            stored.append([made.obtain_samples(itr)[0].observation.clone() for itr in range(3)])
    for one, other in zip(*stored, strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one[0], one[1])
    assert_clean()


@pytest.mark.faults("F04")
def test_the_command_says_it_in_one_line(tmp_path, assert_clean: AssertClean):
    """Also in the first batch, when there is nothing but the capsule to keep."""
    words = train_words(tmp_path / "run", "cpu", 6, victim=ENV)
    ended = in_child([*words, "sampler.env.kwargs.fault=raise in step"], tmp_path)
    assert ended.code == 1
    [line] = ended.err.splitlines()
    assert line.startswith(f"ERROR env: env {ENV} raised ValueError in step: the simulator is gone")
    found = re.search(r"`rlpyt replay-capsule ([^`]+)`", line)
    assert found
    assert read_capsule(Path(found.group(1)))["env_index"] == ENV
    assert_clean(tmp_path / "run", "failed(env)", ended)
