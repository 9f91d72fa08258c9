"""F26-F28, F44, F45: what the system grants a process, and what the workers make of it."""

import os
import re
import resource
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_envs import Faulty
from post_conditions import SHM, AssertClean, workers
from small_runs import CPU, KINDS, runner, sampler, sampling, train

from rlpyt.agents.pg import PgAgent
from rlpyt.samplers.failure import died, oom_kills
from rlpyt.samplers.processes import process_context, start_process
from rlpyt.utils.cpus import CpuAffinity
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.shared_memory import available_memory


def apart(function: Any, *args: Any) -> Any:
    """``function(*args)`` in a process of its own, whose limits are its own."""
    context = process_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs, function, args))
    start_process(process, torch_threads=1)
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join(30)
        ours.close()


def _answer(pipe: Connection, function: Any, args: tuple[Any, ...]) -> None:
    try:
        pipe.send(function(*args))
    except RlpytError as error:
        pipe.send(error)


# --- F26: shared memory ---------------------------------------------------------------------------


def files_of(pid: int) -> set[str]:
    """What a process has mapped or open."""
    process = Path(f"/proc/{pid}")
    opened = {os.readlink(link) for link in (process / "fd").iterdir() if link.is_symlink()}
    return opened | set((process / "maps").read_text().splitlines())


@pytest.mark.faults("F26")
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_nothing_is_put_into_dev_shm(kind, assert_clean: AssertClean):
    """Nor has it been there, without a name now: states travel as bytes."""
    before = files_of(os.getpid())  # semaphores and threads of libraries that other tests use
    threads = threading.active_count()
    with sampling(kind, batch_B=64) as made:
        made.obtain_samples(0)
        made.load_state_dict(made.state_dict())
        pids = [os.getpid(), *workers()]
        found = {pid: "\n".join(files_of(pid) - before) for pid in pids}
        assert all(f"{SHM}/" not in text for text in found.values())
        assert all("/memfd:rlpyt" in text for text in found.values())
        assert_clean.no_shared_memory()
        assert threading.active_count() == threads
    assert_clean()


@pytest.mark.faults("F26")
def test_a_full_dev_shm_does_not_matter(monkeypatch, assert_clean: AssertClean):
    """That of a container by default: it is not even looked at."""
    monkeypatch.setattr(os, "statvfs", lambda path: pytest.fail(f"looked at {path}"))
    with sampling("cpu") as made:
        made.obtain_samples(0)
    assert_clean()


@pytest.mark.faults("F26")
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_larger_than_memory(kind, tmp_path, assert_clean: AssertClean):
    free = available_memory() or 0
    with pytest.raises(RlpytError) as caught:
        train(runner(kind, batch_T=free // 64), tmp_path)
    error = caught.value
    assert error.code == "memory"
    found = re.fullmatch(
        r"a batch of samples takes ([\d.]+) GB of memory, ([\d.]+) GB are free", error.what
    )
    assert found, error.what
    assert float(found.group(1)) > float(found.group(2)) > 0.5 * free / 1e9
    assert "sampler.batch_B" in error.hint
    assert_clean(tmp_path / "run_0", "failed(memory)", error)


# --- F27: limits of the system --------------------------------------------------------------------


def open_with_few_files(limit: int) -> Any:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with sampling("cpu", n_workers=64, batch_B=64) as made:
        made.obtain_samples(0)


@pytest.mark.faults("F27")
def test_too_few_open_files(assert_clean: AssertClean):
    error = apart(open_with_few_files, 256)
    assert isinstance(error, RlpytError)
    found = re.fullmatch(r"64 workers need (\d+) open files, the limit is 256", error.what)
    assert found, error.what
    assert 256 < int(found.group(1)) < 1000
    assert "ulimit -n" in error.hint
    assert_clean(error=error)


def start_as_nobody() -> Any:
    """Root is above this limit, so become somebody who is not."""
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    with sampling("cpu") as made:
        made.obtain_samples(0)


@pytest.mark.faults("F27")
def test_no_more_processes(assert_clean: AssertClean):
    error = apart(start_as_nobody)
    assert isinstance(error, RlpytError)
    assert error.code == "worker"
    assert error.what.startswith("cannot start a worker process: ")
    assert "Resource temporarily unavailable" in error.what
    assert "ulimit -u" in error.hint
    assert_clean(error=error)


# --- F28: memory ----------------------------------------------------------------------------------


@pytest.mark.faults("F28")
def test_the_kernel_s_own_count_makes_the_cause_certain(tmp_path, assert_clean: AssertClean):
    """A control group counts whom it has killed; without one it is probable at most."""
    proc, group = tmp_path / "proc", tmp_path / "cgroup" / "job"
    (proc / "self").mkdir(parents=True)
    group.mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("0::/job\n")
    assert oom_kills(tmp_path / "cgroup", proc) == 0
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\n")
    assert oom_kills(tmp_path / "cgroup", proc) == 3
    hints = [
        died(-signal.SIGKILL, "worker 2", "pid 1", starting=False, oom=oom).hint
        for oom in (True, False)
    ]
    assert hints[0].startswith("the kernel ended it for lack of memory: use fewer workers")
    assert hints[1] == "somebody killed it, or probably the kernel for lack of memory (see dmesg)"
    assert_clean()


# --- F44: threads ---------------------------------------------------------------------------------


def threads_of(pid: int) -> int:
    found = re.search(r"Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found.group(1))


class Busy(Faulty):
    """Multiplies matrices, as numpy's libraries do on all CPUs if they may."""

    def step(self, action):
        np.ones((300, 300)) @ np.ones((300, 300))
        return super().step(action)


@pytest.mark.faults("F44")
@pytest.mark.parametrize(("n_workers", "n_threads"), [(2, 1), (1, 2)])
def test_workers_have_the_threads_that_were_planned(
    n_workers, n_threads, monkeypatch, assert_clean: AssertClean
):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    affinity = CpuAffinity(workers=[], master=[], worker_torch_threads=n_threads)
    made = sampler("cpu", env=Busy, batch_B=32, n_workers=n_workers, affinity=affinity)
    agent = PgAgent(model_kwargs={"hidden_sizes": [512, 512]})
    agent.initialize(made.env_spaces(), seed=0, device=CPU)
    try:
        made.initialize(agent, seed=0)
        made.obtain_samples(0)
        counts = [threads_of(pid) for pid in workers()]
    finally:
        made.shutdown()
    assert len(counts) == n_workers
    assert 1 <= min(counts) <= max(counts) <= 2 * n_threads - 1  # torch's, and as many of numpy
    assert_clean()


# --- F45: CPUs ------------------------------------------------------------------------------------


def sample_on(cpu: int) -> Any:
    os.sched_setaffinity(0, {cpu})
    made = sampler("cpu", n_workers=None)
    plan = made.plan()
    with sampling("cpu", n_workers=None) as running:
        running.obtain_samples(0)
        masks = [sorted(os.sched_getaffinity(pid)) for pid in workers()]
    return plan, masks


@pytest.mark.faults("F45")
def test_a_process_that_may_use_one_cpu(assert_clean: AssertClean):
    cpu = max(os.sched_getaffinity(0))
    plan, masks = apart(sample_on, cpu)
    assert plan["n_workers"] == 1
    assert plan["n_cpus"] == 1
    assert masks == [[cpu]]
    assert_clean()
