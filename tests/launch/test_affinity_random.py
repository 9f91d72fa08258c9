"""What holds of every code: 200 random ones."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from rlpyt.launch import AffinityCode, decode_affinity
from rlpyt.launch.layout import slot_affinity
from rlpyt.launch.slot import Affinity, AsyncAffinity, BaseAffinity, SyncAffinity

EXAMPLES = settings(max_examples=200, derandomize=True, deadline=None, database=None)


@st.composite
def codes(draw: st.DrawFn) -> AffinityCode:
    """Machines that can be divided: from what a run has to the whole."""
    kind = draw(st.sampled_from(["cpu", "gpu", "cxg", "gpr", "ass", "mig"]))
    sockets = draw(st.sampled_from([1, 1, 2, 4]))
    size = draw(st.integers(1, 3))  # cores of a worker
    workers = draw(st.integers(1, 4))
    reserved = draw(st.integers(0, 2))
    each = reserved + size * workers  # cores of a slot, or rank
    runs = sockets * draw(st.integers(1, 3))
    spread = 1  # sockets of a run
    if kind in ("cpu", "ass") and draw(st.booleans()):
        runs, spread, reserved = 1, sockets, reserved * (kind == "ass")
        each = size * workers * spread
    share = draw(st.booleans())
    settings_: dict[str, object] = {}
    n_cores, n_gpu = each * runs, 0 if kind == "cpu" else runs
    if kind == "cpu":
        settings_["cpu_per_run"] = each
    elif kind == "cxg":
        settings_["contexts_per_gpu"] = contexts = draw(st.integers(2, 3))
        n_cores *= contexts
    elif kind == "mig":
        settings_["instances_per_gpu"] = parts = draw(st.integers(2, 7))
        n_cores *= parts
    elif kind == "gpr":
        settings_["gpu_per_run"] = gpus = draw(st.integers(2, 4))
        n_gpu, n_cores = runs * gpus, n_cores * gpus
    elif kind == "ass":
        gpus = spread * draw(st.integers(1, 3))
        apart = spread * draw(st.integers(0, 2)) * (not share)
        settings_ |= {"gpu_per_run": gpus, "sample_gpu_per_run": apart, "async_sample": True}
        settings_["optim_sample_share_gpu"] = share
        n_gpu = runs * (gpus + apart)
        per_run = gpus * max(1, reserved) + size * workers * (gpus if share else apart or spread)
        n_cores = runs * per_run
    more = draw(st.integers(0, 3)) * sockets  # cores of the machine that no run has
    offset = draw(st.sampled_from([0, n_cores, n_cores + more]))
    return AffinityCode(
        n_cpu_core=n_cores,
        n_gpu=n_gpu,
        n_socket=sockets,
        cpu_per_worker=size,
        cpu_reserved=reserved,
        hyperthread_offset=offset,
        alternating=draw(st.booleans()),
        set_affinity=draw(st.booleans()),
        accelerator=draw(st.sampled_from(["gpu", "gpu" if kind == "mig" else "npu"])),
        first_cpu=draw(st.sampled_from([0, 0, 5])),
        **settings_,  # type: ignore[arg-type]  # as above
    )


def parts(affinity: BaseAffinity) -> tuple[Affinity, ...]:
    if isinstance(affinity, SyncAffinity):
        return affinity.ranks
    if isinstance(affinity, AsyncAffinity):
        return affinity.samplers
    assert isinstance(affinity, Affinity)
    return (affinity,)


def slots(code: AffinityCode) -> list[BaseAffinity]:
    return [slot_affinity(code, slot) for slot in range(code.n_run_slots)]


@EXAMPLES
@given(codes())
def test_encoding_and_decoding_give_it_back(code: AffinityCode):
    assert decode_affinity(str(code)) == code


@EXAMPLES
@given(codes())
def test_slots_are_disjoint_and_on_the_machine(code: AffinityCode):
    found = slots(code)
    for one, other in combinations(found, 2):
        assert not set(one.all_cpus) & set(other.all_cpus)
    span = max(code.n_cpu_core, code.hyperthread_offset)
    cores = range(code.first_cpu, code.first_cpu + span)
    twins = range(code.first_cpu + span, code.first_cpu + 2 * span)
    for affinity in found:
        assert len(set(affinity.all_cpus)) == len(affinity.all_cpus)
        assert set(affinity.all_cpus) <= {*cores, *(twins if code.hyperthread_offset else ())}


@EXAMPLES
@given(codes())
def test_no_core_is_left_over(code: AffinityCode):
    """The machines above can be divided evenly."""
    used = {cpu for affinity in slots(code) for cpu in affinity.all_cpus}
    twice = 2 if code.hyperthread_offset else 1
    assert len(used) == code.n_cpu_core * twice


@EXAMPLES
@given(codes())
def test_workers_leave_reserved_cpus_alone(code: AffinityCode):
    twice = 2 if code.hyperthread_offset else 1
    for affinity in slots(code):
        for part in parts(affinity):
            workers = {cpu for cpus in part.workers_cpus for cpu in cpus}
            assert workers <= set(part.master_cpus) <= set(affinity.all_cpus)
            reserved = 0 if code.async_sample else code.cpu_reserved
            assert len(part.master_cpus) - len(workers) == reserved * twice
            together = len(part.workers_cpus) // (2 if code.alternating else 1)
            assert together * code.cpu_per_worker + reserved == part.master_torch_threads
        if isinstance(affinity, AsyncAffinity):
            learn = [set(one.cpus) for one in affinity.optimizer]
            sample = [set(one.all_cpus) for one in affinity.samplers]
            assert all(len(cpus) == max(1, code.cpu_reserved) * twice for cpus in learn)
            assert not any(one & other for one, other in combinations([*learn, *sample], 2))
            assert set().union(*learn, *sample) == set(affinity.all_cpus)


@EXAMPLES
@given(codes())
def test_every_device_is_used_once_or_by_as_many_as_share_it(code: AffinityCode):
    used: list[int | None] = []
    sampled: list[int | None] = []
    for affinity in slots(code):
        if isinstance(affinity, AsyncAffinity):
            used += [one.device_index for one in affinity.optimizer]
            here = [one.device_index for one in affinity.samplers]
            if code.optim_sample_share_gpu:
                sampled += here
            elif code.sample_gpu_per_run:
                used += here
            else:
                assert here == [None]
        elif code.instances_per_gpu > 1:
            used += [affinity.instance]
        else:
            used += [part.device_index for part in parts(affinity)]
    expected = sorted([*range(code.n_devices)] * code.contexts_per_gpu)
    if code.n_gpu:
        assert sorted(used, key=str) == sorted(expected, key=str)
    else:
        assert used == [None] * code.n_run_slots
    if code.optim_sample_share_gpu:
        assert sorted(sampled, key=str) == sorted(expected, key=str)
