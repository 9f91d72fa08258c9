"""The CPUs counted are those that the kernel, the container and the queue really grant."""

import errno
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlpyt.utils import cpus as cpus_module
from rlpyt.utils.cpus import Cpus, cpu_ranges, pin_process, usable_cpus

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has CPU affinity")


class Machine:
    """A fake machine of 64 CPUs: process file system, cgroup mount and environment in a folder."""

    def __init__(self, root: Path) -> None:
        self.proc, self.cgroup = root / "proc", root / "cgroup"
        self.mask: set[int] = set(range(64))
        self.environ: dict[str, str] = {}
        (self.proc / "self").mkdir(parents=True)
        self.cgroup.mkdir()

    def belongs_to(self, *lines: str) -> None:
        (self.proc / "self" / "cgroup").write_text("\n".join(lines) + "\n")

    def write(self, name: str, text: str) -> None:
        path = self.cgroup / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def quota_v1(self, folder: str, quota: str, period: str = "100000\n") -> None:
        self.write(f"{folder}/cpu.cfs_quota_us", quota)
        self.write(f"{folder}/cpu.cfs_period_us", period)

    def cpus(self) -> Cpus:
        return usable_cpus(
            proc=self.proc,
            cgroup=self.cgroup,
            environ=self.environ,
            get_affinity=lambda: self.mask,
            n_machine=64,
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


# --- affinity mask -----------------------------------------------------------------------------


def test_a_free_machine_has_no_limits(machine):
    assert machine.cpus() == Cpus(ids=tuple(range(64)), count=64, limits=(), restricted=False)


def test_the_affinity_mask_is_a_limit(machine):
    machine.mask = {9, 3}
    limits = ("affinity mask: 2 of 64 CPUs",)
    assert machine.cpus() == Cpus(ids=(3, 9), count=2, limits=limits, restricted=True)


def test_without_a_mask_as_on_macos_the_machine_counts(machine):
    machine.mask = set()
    assert machine.cpus() == Cpus(ids=(), count=64, limits=(), restricted=False)


def test_without_anything_there_is_one_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    nowhere = tmp_path / "none"
    found = usable_cpus(proc=nowhere, cgroup=nowhere, environ={}, get_affinity=tuple)
    assert found == Cpus(ids=(), count=1, limits=(), restricted=False)


def test_a_mask_larger_than_the_machine_is_believed(tmp_path):
    found = usable_cpus(
        proc=tmp_path, cgroup=tmp_path, environ={}, get_affinity=lambda: {0, 1, 2}, n_machine=2
    )
    assert found == Cpus(ids=(0, 1, 2), count=3, limits=(), restricted=False)


# --- cgroups -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count", "limits"),
    [
        ("max 100000\n", 64, ()),
        ("150000 100000\n", 1, ("cgroup quota: 1.5 CPUs",)),
        ("100000 100000\n", 1, ("cgroup quota: 1 CPU",)),
        ("20000 100000\n", 1, ("cgroup quota: 0.2 CPUs",)),
        ("400000 50000\n", 8, ("cgroup quota: 8 CPUs",)),
        ("6400000 100000\n", 64, ()),
        ("99900000 100000\n", 64, ()),
    ],
)
def test_version_2(machine, text, count, limits):
    machine.belongs_to("0::/")
    machine.write("cpu.max", text)
    found = machine.cpus()
    assert (found.count, found.limits) == (count, limits)
    assert found.ids == tuple(range(64))
    assert not found.restricted


@pytest.mark.parametrize("tight", ["user.slice/job/step", "user.slice/job", "user.slice", "."])
def test_version_2_the_tightest_ancestor_counts(machine, tight):
    machine.belongs_to("0::/user.slice/job/step")
    for folder in ("user.slice/job/step", "user.slice/job", "user.slice", "."):
        machine.write(f"{folder}/cpu.max", "300000 100000" if folder == tight else "max 100000")
    machine.write("user.slice/other/cpu.max", "100000 100000")  # not an ancestor
    assert machine.cpus().count == 3


@pytest.mark.parametrize("path", ["/../other", "/host/only", "/job (deleted)"])
def test_version_2_in_a_container_that_shows_another_path(machine, path):
    """The mount itself is then the container's own cgroup; nothing outside it is read."""
    machine.belongs_to(f"0::{path}")
    machine.write("cpu.max", "300000 100000")
    machine.write("../other/cpu.max", "100000 100000")
    assert machine.cpus().count == 3


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize("path", ["/docker/abc", "/not/mounted/here"])
def test_version_1(machine, mount, path):
    machine.belongs_to("5:memory:/docker/abc", f"4:cpu,cpuacct:{path}", "1:name=systemd:/")
    machine.quota_v1(mount, "500000\n")
    machine.quota_v1(f"{mount}/docker", "-1\n")
    machine.quota_v1(f"{mount}/docker/abc", "250000\n")
    quota = 2.5 if path == "/docker/abc" else 5
    found = machine.cpus()
    assert found.count == math.floor(quota)
    assert found.limits == (f"cgroup quota: {quota:g} CPUs",)


def test_version_1_without_a_quota(machine):
    machine.belongs_to("4:cpu:/", "2:cpuacct:/", "3:cpuset:/")
    machine.quota_v1("cpu", "-1\n")
    machine.quota_v1("cpuset", "100000")  # another controller's folder
    assert machine.cpus() == Cpus(ids=tuple(range(64)), count=64, limits=(), restricted=False)


def test_both_versions_side_by_side(machine):
    machine.belongs_to("4:cpu:/", "0::/")
    machine.quota_v1("cpu", "700000")
    machine.write("unified/cpu.max", "500000 100000")
    assert machine.cpus().count == 5


@pytest.mark.parametrize(
    "text", ["abc 100000", "100000", "100000 0", "0 100000", "-5 100000", "nan 1", f"{10**999} 1"]
)
def test_a_malformed_quota_is_noted_and_ignored(machine, text):
    machine.belongs_to("0::/")
    machine.write("cpu.max", text)
    found = machine.cpus()
    assert found.count == 64
    assert len(found.limits) == 1
    assert "ignored" in found.limits[0]
    assert text[:20] in found.limits[0]
    assert str(machine.cgroup) in found.limits[0]


def test_a_malformed_quota_is_noted_once(machine):
    machine.belongs_to("4:cpu:/")
    machine.quota_v1("cpu", "abc")
    assert len(machine.cpus().limits) == 1


def test_a_quota_that_is_a_folder_is_no_limit(machine):
    machine.belongs_to("0::/")
    (machine.cgroup / "cpu.max").mkdir()
    assert machine.cpus().limits == ()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.binary(max_size=40)
    | st.sampled_from(
        [b"0::/a\n", b"0::\n", b"4:cpu:/a\n", b"0::/a\0b\n", b"4:cpu,x:/" + b"z/" * 500]
    ),
    quota=st.binary(max_size=20) | st.integers().map(lambda number: f"{number} 100000".encode()),
    slurm=st.text(max_size=12) | st.integers().map(str),
    mask=st.sets(st.integers(0, 70)),
)
def test_nothing_that_is_read_is_fatal(tmp_path, lines, quota, slurm, mask):
    (tmp_path / "self").mkdir(exist_ok=True)
    (tmp_path / "self" / "cgroup").write_bytes(lines)
    for name in ("cpu.max", "a/cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(quota)
    found = usable_cpus(
        proc=tmp_path,
        cgroup=tmp_path,
        environ={"SLURM_CPUS_PER_TASK": slurm},
        get_affinity=lambda: mask,
        n_machine=64,
    )
    assert 1 <= found.count <= max(64, len(mask))
    assert not mask or found.count <= len(mask)
    assert found.ids == tuple(sorted(mask))


# --- SLURM -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["4", " 4\n", "004"])
def test_slurm(machine, text):
    machine.environ["SLURM_CPUS_PER_TASK"] = text
    found = machine.cpus()
    assert (found.count, found.limits) == (4, ("SLURM_CPUS_PER_TASK=4",))
    assert not found.restricted


def test_slurm_gives_no_more_than_there_is(machine):
    machine.environ["SLURM_CPUS_PER_TASK"] = "128"
    assert (machine.cpus().count, machine.cpus().limits) == (64, ())


@pytest.mark.parametrize("text", ["abc", "", "0", "-2", "2.5", "4(x2)", "٤", "9" * 5000])
def test_a_malformed_slurm_value_is_noted_and_ignored(machine, text):
    machine.environ["SLURM_CPUS_PER_TASK"] = text
    found = machine.cpus()
    assert found.count == 64
    assert len(found.limits) == 1
    assert found.limits[0].startswith(f"SLURM_CPUS_PER_TASK={text[:20]!r} ignored")
    assert len(found.limits[0]) < 100


def test_every_limit_is_named_and_the_tightest_counts(machine):
    machine.mask = set(range(8, 24))
    machine.belongs_to("0::/")
    machine.write("cpu.max", "350000 100000")
    machine.environ["SLURM_CPUS_PER_TASK"] = "12"
    found = machine.cpus()
    assert found.count == 3
    assert found.limits == (
        "affinity mask: 16 of 64 CPUs",
        "cgroup quota: 3.5 CPUs",
        "SLURM_CPUS_PER_TASK=12",
    )


def test_this_process_s_environment_is_the_default(machine, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    found = usable_cpus(
        proc=machine.proc, cgroup=machine.cgroup, get_affinity=lambda: {0, 1, 2, 3}, n_machine=4
    )
    assert found.count == 3


# --- the real thing ----------------------------------------------------------------------------


def in_child(code: str, *command: str) -> object:
    """What ``code`` prints as JSON, run by a child with the module's file, which needs no torch."""
    load = f"import json, os, runpy, threading; m = runpy.run_path({cpus_module.__file__!r})\n"
    environ = {key: text for key, text in os.environ.items() if key != "SLURM_CPUS_PER_TASK"}
    done = subprocess.run(
        [*command, sys.executable, "-c", load + code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environ,
    )
    return json.loads(done.stdout)


def test_on_this_machine():
    found = usable_cpus()
    assert 1 <= found.count <= (os.cpu_count() or 1)
    if sys.platform == "linux":
        assert found.ids == tuple(sorted(os.sched_getaffinity(0)))


REPORT = "c = m['usable_cpus'](); print(json.dumps([c.ids, c.count, c.restricted, c.limits]))"


@linux_only
@pytest.mark.parametrize("how", ["sched_setaffinity", "taskset"])
def test_a_child_with_a_smaller_mask_sees_it(how):
    here = os.sched_getaffinity(0)
    cpu = max(here)
    if how == "taskset" and not shutil.which("taskset"):
        pytest.skip("taskset is not here")
    if how == "taskset":
        found = in_child(REPORT, "taskset", "-c", str(cpu))
    else:
        found = in_child(f"os.sched_setaffinity(0, {{{cpu}}}); {REPORT}")
    n = os.cpu_count()
    assert found[:3] == [[cpu], 1, n > 1]
    assert n == 1 or found[3][0] == f"affinity mask: 1 of {n} CPUs"


@linux_only
def test_pinning_moves_every_thread_and_what_it_starts():
    cpu = min(os.sched_getaffinity(0))
    code = f"""
stop = threading.Event()
before = threading.Thread(target=stop.wait)
before.start()
warning = m["pin_process"]([{cpu}])
after = threading.Thread(target=stop.wait)
after.start()
masks = [sorted(os.sched_getaffinity(int(task))) for task in os.listdir("/proc/self/task")]
stop.set()
print(json.dumps([warning, masks]))
"""
    assert in_child(code) == [None, [[cpu]] * 3]


@linux_only
def test_pinning_to_no_cpu_and_to_impossible_ones_changes_nothing():
    """rlpyt once died of EINVAL here."""
    before = os.sched_getaffinity(0)
    assert pin_process(()) is None
    for impossible in ([1023], [-1], [10**30], [2**31 + 5]):
        warning = pin_process(impossible)
        assert warning is not None
        assert f"could not pin process {os.getpid()} to CPUs {impossible[0]}: " in warning
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EINVAL, "Invalid argument"),
        PermissionError(errno.EPERM, "Operation not permitted"),
        OSError(errno.ENOSYS, "this system has no CPU affinity"),
        OSError("no reason"),
        ValueError("negative CPU number"),
    ],
)
def test_pinning_warns_and_never_raises(error):
    def refuse(cpus: object) -> None:
        raise error

    warning = pin_process([0, 1, 5], set_affinity=refuse)
    assert warning == (
        f"could not pin process {os.getpid()} to CPUs 0-1,5: "
        f"{getattr(error, 'strerror', None) or error}"
    )


def test_pinning_asks_the_system_for_these_cpus():
    asked: list[object] = []
    assert pin_process([2, 0], set_affinity=asked.append) is None
    assert asked == [[2, 0]]
    assert pin_process((), set_affinity=asked.append) is None
    assert asked == [[2, 0]]


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_a_system_without_affinity_gives_a_warning(platform, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", platform)
    warning = pin_process([0])
    assert warning is not None
    assert warning.endswith("this system has no CPU affinity")
    found = usable_cpus(proc=tmp_path, cgroup=tmp_path, environ={}, n_machine=8)
    assert found == Cpus(ids=(), count=8, limits=(), restricted=False)


# --- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpus", "text"),
    [
        ((), ""),
        ([3], "3"),
        ([1, 0], "0-1"),
        ([8, 0, 1, 2, 3, 3], "0-3,8"),
        ({0, 2, 4, 5}, "0,2,4-5"),
    ],
)
def test_ranges(cpus, text):
    assert cpu_ranges(cpus) == text


@given(st.sets(st.integers(0, 40)))
def test_ranges_name_exactly_these(cpus):
    named = set()
    for part in filter(None, cpu_ranges(cpus).split(",")):
        first, _, last = part.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == cpus
