"""What limits the speed of a run, and what to change."""

from dataclasses import dataclass, field
from typing import Literal, final

from rlpyt.evaluation.advice import Advice, general_advice, straggler_advice
from rlpyt.evaluation.profile import RunProfile

__all__ = ["Diagnosis", "Limit", "diagnose", "shares_text", "time_shares"]

Limit = Literal[
    "sampler",
    "inference",
    "learner",
    "straggler",
    "synchronisation",
    "transfer",
    "overhead",
    "balanced",
]
"""What takes most of the time: stepping environments (``sampler``), choosing actions, learning,
waiting for one slow worker, waits and hand-overs between processes, copies to and from a device,
none of these (logs, checkpoints), or no single thing."""

_DOMINANT = 0.4  # a share of the time from which one thing is the limit
_UNEVEN = 1.5  # times as busy as the others: from here on a worker is a straggler
_WORTH = 1.08  # predicted gains below are within the noise
_MOST = 4  # pieces of advice


@final
@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The limit, what shows it, and what to change, the most promising first."""

    limit: Limit
    evidence: str
    advice: list[Advice] = field(default_factory=list)


def diagnose(profile: RunProfile) -> Diagnosis:
    """Name what limits the run.

    Raises:
        RlpytError: ``usage``, for numbers that no run can have measured.
    """
    profile.check()
    shares = time_shares(profile)
    limit: Limit = max(shares, key=lambda name: shares[name])
    if shares[limit] < _DOMINANT:
        limit = "balanced"
    found = general_advice(profile, overhead=shares["overhead"])
    worth = [advice for advice in found if advice.predicted_gain >= _WORTH]
    worth.sort(key=lambda advice: -advice.predicted_gain)
    if limit == "straggler":
        worth = [straggler_advice(profile, excess=shares["straggler"]), *worth]
    return Diagnosis(limit=limit, evidence=_evidence(limit, profile, shares), advice=worth[:_MOST])


def time_shares(profile: RunProfile) -> dict[Limit, float]:
    """The wall time, divided by what it waits for; the shares sum to 1.

    Where workers step, the share of the environments is what even the least busy workers need;
    what the busiest takes beyond is the ``straggler``'s, and what remains of the master's wait is
    ``synchronisation``.
    """
    p = profile
    shares: dict[Limit, float] = {
        "sampler": p.worker_env,
        "inference": p.sampler_act,
        "learner": p.learner_busy,
        "straggler": 0.0,
        "synchronisation": 0.0,
        "transfer": p.sampler_transfer,
    }
    if p.sampler != "serial":
        busy = p.worker_env + p.worker_act
        even, busiest = _even_and_busiest(p)
        working = min(p.sampler_wait, busiest)
        excess = max(0.0, working - even)
        work = working - excess
        shares["sampler"] = work * (p.worker_env / busy if busy > 0 else 1.0)
        shares["inference"] += work - shares["sampler"]
        shares["straggler"] = excess
        shares["synchronisation"] = p.sampler_wait - working
    total = sum(shares.values())
    shares["overhead"] = max(0.0, 1.0 - total)
    return {name: share / max(1.0, total) for name, share in shares.items()}


def shares_text(profile: RunProfile) -> str:
    """The shares of 1 % and more, the largest first: ``learner 50 %, environments 40 %``."""
    shares = time_shares(profile)
    shown = sorted((name for name in shares if shares[name] >= 0.01), key=lambda n: -shares[n])
    return ", ".join(f"{_NAMES[name]} {_percent(shares[name])}" for name in shown)


def _even_and_busiest(p: RunProfile) -> tuple[float, float]:
    """How busy the workers but the busiest are, and the busiest; alike, unless it is a straggler.

    A mean of two workers hides much: one four times as busy as the other is 1.6 times the mean.
    """
    n, mean = p.n_workers, p.worker_env + p.worker_act
    busiest = min(p.worker_imbalance, n) * mean
    others = (n * mean - busiest) / (n - 1) if n > 1 else mean
    if busiest < _UNEVEN * others:
        return busiest, busiest
    return others, busiest


def _times_busier(p: RunProfile) -> str:
    """How many times as busy as the others the busiest worker is: ``4.1x``."""
    others, busiest = _even_and_busiest(p)
    return f"{busiest / others:.1f}x" if busiest < 100 * others else "over 100x"


def _evidence(limit: Limit, p: RunProfile, shares: dict[Limit, float]) -> str:
    serial = p.sampler == "serial"
    who = "this process steps" if serial else f"{p.workers_text} step"
    who = "the worker steps" if not serial and p.n_workers == 1 else who
    texts: dict[Limit, str] = {
        "sampler": f"sampler-bound: {who} environments {_percent(p.worker_env)} of the time, "
        f"the learner is idle {_percent(1 - p.learner_busy)}",
        "inference": f"inference-bound: choosing actions takes {_percent(shares['inference'])} of "
        f"the time, environments {_percent(shares['sampler'])}, "
        f"learning {_percent(p.learner_busy)}",
        "learner": f"learner-bound: optimize_agent takes {_percent(p.learner_busy)} of the time, "
        f"sampling {_percent(p.sampling)}",
        "straggler": f"one straggling worker: {p.slowest_text} takes {_times_busier(p)} the time "
        f"of the others; workers wait {_percent(p.worker_wait)} of the time on average",
        "synchronisation": f"synchronisation-bound: {_percent(shares['synchronisation'])} of the "
        f"time goes into waits and hand-overs, while {p.workers_text} work "
        f"{_percent(p.worker_env + p.worker_act)}",
        "transfer": f"transfer-bound: copies between host and device take "
        f"{_percent(p.sampler_transfer)} of the time",
        "overhead": f"overhead-bound: {_percent(shares['overhead'])} of the time is neither "
        "sampling nor learning, but logs, checkpoints and bookkeeping",
        "balanced": f"balanced: {shares_text(p)}",
    }
    restarts = p.worker_restarts
    lost = f"; workers were restarted {restarts} time{'s' * (restarts != 1)}" if restarts else ""
    return texts[limit] + lost


_NAMES: dict[Limit, str] = {
    "sampler": "environments",
    "inference": "inference",
    "learner": "learner",
    "straggler": "straggler",
    "synchronisation": "synchronisation",
    "transfer": "transfers",
    "overhead": "the rest",
}


def _percent(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share)):.0f} %"
