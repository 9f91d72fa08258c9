"""Environments, CPUs and threads are divided completely, evenly, and never fatally."""

import itertools
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpyt.samplers.plan import WorkerPlan, plan_workers
from rlpyt.utils.cpus import CpuAffinity, Cpus
from rlpyt.utils.errors import RlpytError


def machine(count: int, *, ids: tuple[int, ...] | None = None, restricted: bool = False) -> Cpus:
    ids = tuple(range(count)) if ids is None else ids
    return Cpus(ids=ids, count=count, limits=(), restricted=restricted)


def plan(
    batch_B: int, n_workers: int | None = None, cpus: Cpus | int = 64, **options
) -> WorkerPlan:
    found = machine(cpus) if isinstance(cpus, int) else cpus
    options.setdefault("group_size", None)
    return plan_workers(batch_B=batch_B, n_workers=n_workers, cpus=found, **options)


def sizes(found: WorkerPlan) -> list[int]:
    return [stop - start for start, stop in found.envs]


# --- columns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch_B", "n_workers", "options", "expected"),
    [
        (8, 1, {}, [8]),
        (8, 2, {}, [4, 4]),
        (8, 3, {}, [3, 3, 2]),
        (8, 8, {}, [1] * 8),
        (12, 4, {"group_size": 4}, [4, 4, 4]),
        (20, 2, {"group_size": 4}, [12, 8]),
        (16, 4, {"n_groups": 2}, [4, 4, 4, 4]),
        (10, 4, {"n_groups": 2}, [3, 2, 3, 2]),
        (24, 4, {"n_groups": 2, "group_size": 4}, [8, 4, 8, 4]),
        (9, 3, {"n_groups": 3}, [3, 3, 3]),
    ],
)
def test_environments_are_shared_out_evenly(batch_B, n_workers, options, expected):
    assert sizes(plan(batch_B, n_workers, **options)) == expected


@pytest.mark.parametrize(
    ("n_groups", "groups"),
    [(1, ((0, 1, 2, 3),)), (2, ((0, 1), (2, 3))), (4, ((0,), (1,), (2,), (3,)))],
)
def test_groups_are_workers_in_order_of_rank(n_groups, groups):
    assert plan(8, 4, n_groups=n_groups).groups == groups


sensible = st.fixed_dictionaries(
    {
        "group_size": st.none() | st.integers(1, 6),
        "n_groups": st.integers(1, 3),
        "acts_in_workers": st.booleans(),
        "n_workers": st.none() | st.integers(1, 20),
        "affinity": st.none()
        | st.builds(
            CpuAffinity,
            workers=st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=9),
            master=st.lists(st.integers(0, 12), max_size=3),
            set_affinity=st.booleans(),
            worker_torch_threads=st.integers(1, 3),
        ),
    }
)
machines = st.builds(
    lambda ids, count, restricted: Cpus(
        ids=tuple(sorted(ids)),
        count=min(count, len(ids) or count),
        limits=(),
        restricted=restricted and bool(ids),
    ),
    st.sets(st.integers(0, 10)),
    st.integers(1, 10),
    st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(sensible, st.integers(1, 12), machines)
def test_every_plan_is_sound(options, units, cpus):
    unit, n_groups = options["group_size"] or 1, options["n_groups"]
    batch_B = units * unit * n_groups
    found = plan_workers(batch_B=batch_B, cpus=cpus, **options)
    columns = list(itertools.chain(*(range(*part) for part in found.envs)))
    assert columns == list(range(batch_B))
    assert all(size >= unit and size % unit == 0 for size in sizes(found))
    assert max(sizes(found)) - min(sizes(found)) <= unit
    assert list(itertools.chain(*found.groups)) == list(range(found.n_workers))
    assert len(found.groups) == n_groups
    for group in found.groups:
        assert len(group) == found.n_workers // n_groups
        assert sum(sizes(found)[rank] for rank in group) == batch_B // n_groups
    assert len(found.cpus) == found.n_workers
    assert set(itertools.chain(found.master_cpus, *found.cpus)) <= set(cpus.ids)
    n, asked, affinity = found.n_workers, options["n_workers"], options["affinity"]
    assert asked is None or n <= -(-asked // n_groups) * n_groups
    assert asked in (None, n) or any("sampler.n_workers" in text for text in found.warnings)
    if asked is None and affinity is None:
        assert n <= max(n_groups, cpus.count + n_groups - 1)
        assert found.warnings == ()
    # As JSON gives it back, and short.
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()
    assert len(found.describe().splitlines()) == 1
    assert len(found.describe()) < 250


# --- how many workers --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_default_is_a_worker_for_each_cpu(count):
    assert plan(24, cpus=count).n_workers == count
    assert plan(24, cpus=count, acts_in_workers=False).n_workers == max(1, count - 1)
    two = plan(24, cpus=count, acts_in_workers=False, n_groups=2)
    assert two.n_workers == {1: 2, 2: 2, 3: 4, 8: 8}[count]
    assert two.warnings == ()


def test_the_default_is_no_more_than_there_is_work():
    assert plan(3, cpus=64).envs == ((0, 1), (1, 2), (2, 3))
    assert plan(4, cpus=64, group_size=4).envs == ((0, 4),)
    assert plan(4, cpus=64, n_groups=2, group_size=2, acts_in_workers=False).n_workers == 2
    assert plan(3, cpus=64).warnings == ()


def test_the_default_follows_the_count_not_the_mask():
    """A quota of 2 CPUs in a mask of 64."""
    quota = Cpus(ids=tuple(range(64)), count=2, limits=("cgroup quota: 2 CPUs",), restricted=False)
    found = plan(64, cpus=quota)
    assert (found.n_workers, found.worker_threads, found.n_cpus) == (2, 1, 2)
    assert found.limits == ("cgroup quota: 2 CPUs",)


def test_more_workers_than_work_are_fewer_and_said():
    found = plan(4, 6)
    assert (found.n_workers, found.warnings) == (
        4,
        ("sampler.n_workers=6: using 4 (sampler.batch_B=4)",),
    )
    found = plan(8, 6, group_size=4)
    reason = "sampler.batch_B=8 in units of 4"
    assert found.warnings == (f"sampler.n_workers=6: using 2 ({reason})",)


def test_two_groups_take_an_even_number_of_workers():
    found = plan(12, 3, n_groups=2)
    assert (found.n_workers, found.groups) == (4, ((0, 1), (2, 3)))
    assert found.warnings == ("sampler.n_workers=3: using 4 (a multiple of 2 groups)",)
    found = plan(2, 3, n_groups=2)
    assert found.n_workers == 2
    assert found.warnings == (
        "sampler.n_workers=3: using 2 (sampler.batch_B=2 for 2 equal groups)",
    )
    assert plan(2, 1, n_groups=2).n_workers == 2


def test_more_workers_than_cpus_is_allowed_with_a_warning():
    found = plan(8, 4, cpus=2)
    assert (found.n_workers, found.warnings) == (4, ("4 workers share 2 usable CPUs",))
    assert plan(8, 2, cpus=2).warnings == ()
    assert plan(8, 2, cpus=1).warnings == ("2 workers share 1 usable CPU",)


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"batch_B": 6, "group_size": 4},
            "sampler.batch_B=6 must be a multiple of 4 (sampler.group_size=4) - use 4 or 8",
        ),
        (
            {"batch_B": 3, "group_size": 4},
            "sampler.batch_B=3 must be a multiple of 4 (sampler.group_size=4) - use 4",
        ),
        (
            {"batch_B": 5, "n_groups": 2},
            "sampler.batch_B=5 must be a multiple of 2 (2 groups of workers) - use 4 or 6",
        ),
        (
            {"batch_B": 6, "n_groups": 2, "group_size": 2},
            "sampler.batch_B=6 must be a multiple of 4 (2 groups of workers, sampler.group_size=2)"
            " - use 4 or 8",
        ),
        ({"batch_B": 0}, "sampler.batch_B=0 must be at least 1 - use 1 or more"),
        (
            {"n_workers": 0},
            "sampler.n_workers=0 must be at least 1 - use 1 or more, or None to leave it open",
        ),
        (
            {"group_size": -2},
            "sampler.group_size=-2 must be at least 1 - use 1 or more, or None to leave it open",
        ),
        (
            {"affinity": CpuAffinity(workers=[[0]], master=[], worker_torch_threads=0)},
            "sampler.affinity.worker_torch_threads=0 must be at least 1 - use 1 or more",
        ),
    ],
)
def test_mistakes_name_value_and_remedy(options, text):
    with pytest.raises(RlpytError) as caught:
        plan(**{"batch_B": 8, **options})
    assert caught.value.code == "config"
    assert str(caught.value) == f"ERROR config: {text}"


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 3))
def test_the_remedy_works(batch_B, group_size, n_groups):
    try:
        plan(batch_B, group_size=group_size, n_groups=n_groups)
    except RlpytError as error:
        suggested = [int(word) for word in error.hint.split() if word.isdigit()]
        assert 1 <= len(suggested) <= 2
        for better in suggested:
            assert abs(better - batch_B) < group_size * n_groups
            plan(better, group_size=group_size, n_groups=n_groups)
    else:
        assert batch_B % (group_size * n_groups) == 0


# --- pinning -----------------------------------------------------------------------------------


def test_a_free_machine_is_left_to_the_scheduler():
    found = plan(8, 2, cpus=4)
    assert (found.cpus, found.master_cpus) == (((), ()), ())


@pytest.mark.parametrize(
    ("n_workers", "workers", "master"),
    [
        (1, ((),), ()),  # another run may be in the same mask
        (2, ((), ()), ()),
        (3, ((4,), (5,), (6,)), (4, 5, 6)),
        (4, ((), (), (), ()), ()),
    ],
)
def test_assigned_cpus_are_pinned_one_each_where_there_are_just_enough(n_workers, workers, master):
    found = plan(12, n_workers, cpus=machine(3, ids=(4, 5, 6), restricted=True))
    assert (found.cpus, found.master_cpus) == (workers, master)


def test_an_affinity_is_followed():
    affinity = CpuAffinity(workers=[[3, 2], [1], []], master=[0, 1], worker_torch_threads=2)
    found = plan(12, cpus=8, affinity=affinity)
    assert found.cpus == ((2, 3), (1,), ())
    assert found.master_cpus == (0, 1)
    assert (found.n_workers, found.worker_threads, found.warnings) == (3, 2, ())


def test_an_affinity_that_is_not_to_be_set_still_counts_workers_and_threads():
    affinity = CpuAffinity(
        workers=[[0], [9]], master=[0], set_affinity=False, worker_torch_threads=2
    )
    found = plan(12, cpus=machine(4, restricted=True), affinity=affinity)
    assert (found.n_workers, found.worker_threads) == (2, 2)
    assert (found.cpus, found.master_cpus, found.warnings) == (((), ()), (), ())


def test_an_affinity_without_workers_leaves_their_number_to_the_machine():
    found = plan(12, cpus=4, affinity=CpuAffinity(workers=[], master=[1]))
    assert (found.cpus, found.master_cpus) == (((),) * 4, (1,))
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("n_workers", "cpus", "use"),
    [(1, ((0,),), "the rest are not used"), (3, ((0,), (1,), (0,)), "used in turn")],
)
def test_another_number_of_lists_than_workers(n_workers, cpus, use):
    found = plan(12, n_workers, affinity=CpuAffinity(workers=[[0], [1]], master=[]))
    assert found.cpus == cpus
    assert found.warnings == (f"sampler.affinity: 2 lists of CPUs for {n_workers} workers: {use}",)


def test_an_odd_affinity_for_two_groups_is_rounded_up():
    affinity = CpuAffinity(workers=[[0], [1], [2]], master=[])
    found = plan(12, n_groups=2, affinity=affinity)
    assert found.cpus == ((0,), (1,), (2,), (0,))
    assert found.warnings == (
        "sampler.affinity for 3 workers: using 4 (a multiple of 2 groups)",
        "sampler.affinity: 3 lists of CPUs for 4 workers: used in turn",
    )


def test_cpus_outside_the_mask_are_left_out():
    affinity = CpuAffinity(workers=[[0, 4], [1], [9, 5]], master=[7, 6])
    found = plan(12, affinity=affinity, cpus=machine(3, ids=(4, 5, 6), restricted=True))
    assert found.cpus == ((4,), (), (5,))
    assert found.master_cpus == (6,)
    assert found.warnings == (
        "sampler.affinity: CPUs 0, 1, 7, 9 left out: this process may use 4-6",
    )


def test_more_threads_than_cpus_are_warned_of():
    affinity = CpuAffinity(workers=[[0], [1]], master=[], worker_torch_threads=4)
    assert plan(12, cpus=4, affinity=affinity).warnings == (
        "2 workers of 4 torch threads share 4 usable CPUs",
    )
    assert plan(12, cpus=8, affinity=affinity).warnings == ()


def test_macos_pins_nothing():
    macos = machine(8, ids=())
    assert plan(16, cpus=macos).n_workers == 8
    assert plan(16, cpus=macos).warnings == ()
    found = plan(16, cpus=macos, affinity=CpuAffinity(workers=[[0], [1]], master=[2]))
    assert (found.cpus, found.master_cpus) == (((), ()), ())
    assert found.warnings == (
        "sampler.affinity: this system has no CPU affinity; nothing is pinned",
    )


@pytest.mark.parametrize("ids", [(), (0,), (7,)])
@pytest.mark.parametrize("acts_in_workers", [True, False])
@pytest.mark.parametrize("n_groups", [1, 2])
def test_one_core_is_enough(ids, acts_in_workers, n_groups):
    one = machine(1, ids=ids, restricted=ids == (7,))
    found = plan(8, cpus=one, acts_in_workers=acts_in_workers, n_groups=n_groups)
    assert (found.n_workers, found.worker_threads) == (n_groups, 1)
    if n_groups == 1 and ids == (7,):
        assert (found.cpus, found.master_cpus) == (((7,),), (7,))


# --- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            plan(8, 2, cpus=2),
            "2 workers of 4 environments each, 1 torch thread each (2 CPUs usable)",
        ),
        (plan(1, 1, cpus=1), "1 worker of 1 environment, 1 torch thread (1 CPU usable)"),
        (
            plan(8, 4, n_groups=2, group_size=2, cpus=4),
            "4 workers of 2 environments each, in 2 groups, inference on 2 at a time, "
            "1 torch thread each (4 CPUs usable)",
        ),
        (plan(8, 3, cpus=4), "3 workers of 2-3 environments, 1 torch thread each (4 CPUs usable)"),
        (
            plan(8, 2, cpus=Cpus(ids=(0, 1), count=2, limits=("a", "b"), restricted=True)),
            "2 workers of 4 environments each, 1 torch thread each, on CPUs 0 | 1, "
            "master on CPUs 0-1 (2 CPUs usable; a; b)",
        ),
        (
            plan(8, 1, cpus=Cpus(ids=(3, 5), count=2, limits=(), restricted=True)),
            "1 worker of 8 environments, 1 torch thread (2 CPUs usable)",
        ),
        (
            plan(9, cpus=4, affinity=CpuAffinity(workers=[[0, 1, 3], [], [2]], master=[])),
            "3 workers of 3 environments each, 1 torch thread each, on CPUs 0-1,3 | any | 2 "
            "(4 CPUs usable)",
        ),
        (
            plan(20, cpus=machine(20, restricted=True)),
            "20 workers of 1 environment each, 1 torch thread each, "
            "on CPUs 0 | 1 | 2 | 3 | 4 | 5 | 6 | ... | 19, master on CPUs 0-19 (20 CPUs usable)",
        ),
    ],
)
def test_the_plan_in_words(found, text):
    assert found.describe() == text


def test_the_plan_as_data():
    cpus = Cpus(ids=(4, 5, 6), count=2, limits=("SLURM_CPUS_PER_TASK=2",), restricted=True)
    assert plan(8, 3, cpus=cpus, group_size=2).as_dict() == {
        "n_workers": 3,
        "envs": [[0, 4], [4, 6], [6, 8]],
        "cpus": [[4], [5], [6]],
        "master_cpus": [4, 5, 6],
        "worker_threads": 1,
        "groups": [[0, 1, 2]],
        "group_size": 2,
        "n_cpus": 2,
        "limits": ["SLURM_CPUS_PER_TASK=2"],
        "warnings": ["3 workers share 2 usable CPUs"],
    }


# --- the real thing ----------------------------------------------------------------------------

CHILD = """
import json, os, sys
cpu = max(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpu})
import torch
from rlpyt.samplers.plan import plan_workers
from rlpyt.utils.cpus import CpuAffinity, Cpus, pin_process
options = dict(batch_B=64, n_workers=None, group_size=None)
masked = plan_workers(**options)
given = CpuAffinity(workers=[[cpu], [1022]], master=[1021, cpu])
assigned = plan_workers(**options, affinity=given)
told = [pin_process(ids) for p in (masked, assigned) for ids in (*p.cpus, p.master_cpus)]
faked = Cpus(ids=tuple(range(64)), count=64, limits=(), restricted=False)
large = plan_workers(**options, cpus=faked)
torch.set_num_threads(large.worker_threads)
a = torch.ones(700, 700)
(a @ a).relu().sum().item()
threads = len(os.listdir("/proc/self/task"))
print(json.dumps([cpu, masked.as_dict(), assigned.as_dict(), told, large.n_workers, threads]))
"""


@pytest.mark.faults("F44", "F45")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has CPU affinity and /proc")
def test_in_a_child_with_one_cpu_and_one_that_believes_in_64():
    """F45: the plan keeps to a mask of one CPU and pins without EINVAL. F44: threads stay within
    the plan's budget though OMP_NUM_THREADS is unset."""
    unset = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "SLURM_CPUS_PER_TASK")
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        capture_output=True,
        text=True,
        timeout=100,
        env={key: text for key, text in os.environ.items() if key not in unset},
    )
    assert done.returncode == 0, done.stderr
    cpu, masked, assigned, told, n_large, threads = json.loads(done.stdout)
    many = (os.cpu_count() or 1) > 1
    assert masked["n_workers"] == masked["n_cpus"] == 1
    assert masked["cpus"] == ([[cpu]] if many else [[]])
    assert masked["master_cpus"] == ([cpu] if many else [])
    assert assigned["cpus"] == [[cpu], []]
    assert assigned["master_cpus"] == [cpu]
    assert any("1021, 1022 left out" in text for text in assigned["warnings"])
    assert told == [None] * 5
    assert n_large == 64
    assert threads <= 1 + 2  # one for torch, a few that only wait
