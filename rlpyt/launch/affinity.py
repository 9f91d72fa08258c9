"""Affinity: one code for a machine, and what each of its run slots has.

A launcher writes ``encode_affinity(n_cpu_core=16, n_gpu=8, gpu_per_run=2)`` once, and gives every
run the code with a slot before it (``3slt_16cpu_8gpu_2gpr``); the run's script asks
:func:`affinity_from_code` what it has. Codes, and what they decode to, are those of rlpyt 0.1.
"""

from typing import Any, TypedDict, Unpack

from rlpyt.launch.code import RUN_SLOT, AffinityCode, parsed_code
from rlpyt.launch.layout import slot_affinity
from rlpyt.launch.machine import Machine, this_machine
from rlpyt.launch.slot import BaseAffinity
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = [
    "AffinitySettings",
    "affinity_from_code",
    "decode_affinity",
    "encode_affinity",
    "get_n_run_slots",
    "make_affinity",
    "prepend_run_slot",
    "quick_affinity_code",
    "remove_run_slot",
]

_AUTO = "auto"


class AffinitySettings(TypedDict, total=False):
    """The fields of :class:`~rlpyt.launch.code.AffinityCode`, by keyword.

    ``hyperthread_offset`` and ``n_socket`` are this machine's where they are ``None`` or left out.
    ``cpu_per_run`` has no meaning beside accelerators.
    """

    n_cpu_core: int
    n_gpu: int
    contexts_per_gpu: int
    gpu_per_run: int
    cpu_per_run: int
    cpu_per_worker: int
    cpu_reserved: int
    hyperthread_offset: int | None
    n_socket: int | None
    async_sample: bool
    sample_gpu_per_run: int
    optim_sample_share_gpu: bool
    alternating: bool
    set_affinity: bool
    accelerator: str
    instances_per_gpu: int
    first_cpu: int


def encode_affinity(*, run_slot: int | None = None, **settings: Unpack[AffinitySettings]) -> str:
    """The code of a machine that is shared so; with a ``run_slot`` that slot's.

    Raises:
        RlpytError: ``affinity``, for an unknown setting, for numbers that do not go together, and
            for a slot that there is not.
    """
    code = str(_code(settings))
    return code if run_slot is None else prepend_run_slot(run_slot, code)


def _code(settings: AffinitySettings) -> AffinityCode:
    for name in settings:
        if name not in AffinitySettings.__annotations__:
            hint = did_you_mean(name, AffinitySettings.__annotations__)
            raise RlpytError("affinity", f"there is no setting {name!r}", hint=hint)
    given: dict[str, Any] = dict(settings)
    offset, n_socket = given.pop("hyperthread_offset", None), given.pop("n_socket", None)
    if given.get("n_gpu"):
        given.pop("cpu_per_run", None)
    if offset is not None and n_socket is not None:
        code = AffinityCode(**given, hyperthread_offset=offset, n_socket=n_socket)
    else:
        here = this_machine(with_devices=False)
        offset = here.hyperthread_offset if offset is None else offset
        code = AffinityCode(**given, hyperthread_offset=offset, n_socket=n_socket or 1)
        code = here.with_sockets(code) if n_socket is None else code
    slot_affinity(code, 0)
    return code


def decode_affinity(code: str) -> AffinityCode:
    """What a code, without a slot, says; ``"auto"`` is the code of all that this process may use.

    Raises:
        RlpytError: ``affinity``, for what is no code, and for numbers that do not go together.
    """
    return this_machine().suggest() if code == _AUTO else parsed_code(code)


def affinity_from_code(run_slot_affinity_code: str, machine: Machine | None = None) -> BaseAffinity:
    """What the slot of a code such as ``3slt_16cpu_8gpu_2gpr`` has.

    Args:
        run_slot_affinity_code: as the launcher gives it to the run's script.
        machine: where it must fit; ``None``: what this process may use.

    Returns:
        An :class:`~rlpyt.launch.slot.Affinity`, a :class:`~rlpyt.launch.slot.SyncAffinity` for
        several devices, or an :class:`~rlpyt.launch.slot.AsyncAffinity`.

    Raises:
        RlpytError: ``affinity``, for what is no code, a slot that there is not, and CPUs or devices
            that are not here.
    """
    run_slot, text = remove_run_slot(run_slot_affinity_code)
    return _affinity(decode_affinity(text), run_slot, machine)


def make_affinity(run_slot: int = 0, **settings: Unpack[AffinitySettings]) -> BaseAffinity:
    """:func:`affinity_from_code` of what :func:`encode_affinity` writes."""
    return _affinity(_code(settings), run_slot, None)


def _affinity(code: AffinityCode, run_slot: int, machine: Machine | None) -> BaseAffinity:
    affinity = slot_affinity(code, run_slot)
    (machine or this_machine(with_devices=code.n_gpu > 0)).check(code, run_slot)
    return affinity


def quick_affinity_code(
    n_parallel: int | None = None, use_gpu: bool = True, contexts_per_gpu: int = 1
) -> str:
    """A code for what this process may use.

    Args:
        n_parallel: accelerators, or where there are none runs, at most; ``None``: all, or one run
            on each core.
        use_gpu: whether to use accelerators.
        contexts_per_gpu: runs that share one.

    Raises:
        RlpytError: ``affinity``, for numbers below 1, and for more contexts than cores.
    """
    here = this_machine(with_devices=use_gpu)
    return str(here.suggest(n_parallel, use_gpu=use_gpu, contexts_per_gpu=contexts_per_gpu))


def get_n_run_slots(affinity_code: str) -> int:
    """How many runs a code, without a slot, lets go at a time."""
    return decode_affinity(affinity_code).n_run_slots


def prepend_run_slot(run_slot: int, affinity_code: str) -> str:
    """The code of one slot: ``3slt_16cpu_8gpu_2gpr``; ``"auto"`` becomes what it stands for.

    Raises:
        RlpytError: ``affinity``, for what is no code, and a slot that there is not.
    """
    code = decode_affinity(affinity_code)
    slot_affinity(code, run_slot)
    return f"{run_slot}{RUN_SLOT}_{code if affinity_code == _AUTO else affinity_code}"


def remove_run_slot(run_slot_affinity_code: str) -> tuple[int, str]:
    """The slot, and the code.

    Raises:
        RlpytError: ``affinity``, for a code without a slot.
    """
    first, _, code = run_slot_affinity_code.partition("_")
    number = first.removesuffix(RUN_SLOT)
    if not (code and number != first and number.isascii() and number.isdecimal()):
        what = f"{run_slot_affinity_code[:100]!r} does not begin with a run slot"
        hint = f"write 0{RUN_SLOT}_{run_slot_affinity_code[:40]}"
        raise RlpytError("affinity", what, hint=hint)
    return int(number[:9]), code
