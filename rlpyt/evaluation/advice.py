"""What may be changed to make a run faster, each with the gain that is predicted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

from rlpyt.evaluation.cost_model import CostModel, Setup
from rlpyt.evaluation.profile import RunProfile, SamplerKind, workers_text

__all__ = ["Advice", "general_advice", "straggler_advice"]

_SMALL_UPDATE = 0.01  # s; below, an update is call overhead: compiling helps, threads do not
_COMPILED = 0.5  # of the time of a small update that compiling leaves
_TRACED = 0.7  # and tracing, which needs no compiler, and gives the same bits
_PARALLEL = 0.5  # of a large update's work that threads share


@final
@dataclass(frozen=True, kw_only=True)
class Advice:
    """One thing to change."""

    change: str  # an option or an override, as on the command line
    reason: str
    predicted_gain: float  # speed after over speed before


def general_advice(p: RunProfile, *, overhead: float) -> list[Advice]:
    """Everything that could be changed, whatever it gains.

    Args:
        p: where the time goes.
        overhead: the share of it that is neither sampling nor learning.
    """
    return [*_sampling_advice(p), *_learner_advice(p), *_other_advice(p, overhead)]


def _sampling_advice(p: RunProfile) -> Iterator[Advice]:
    """Other samplers, other numbers of workers, other vectors, as the cost model sees them."""
    model, present = CostModel(p), Setup.of(p)
    yield from _sampler_advice(p, model, present)
    if p.native_available:
        yield Advice(
            change="sampler.env.vectorization=native",
            reason="the suite has a vector environment of its own; the prediction takes it to step "
            "twice as fast",
            predicted_gain=model.gain(replace(present, goes_native=True)),
        )
    if p.group_size is not None and p.group_size < p.batch_B:
        yield Advice(
            change="sampler.group_size=null",
            reason="fewer, larger inference calls; results are then no longer equal bit for bit "
            "over samplers",
            predicted_gain=model.gain(replace(present, group_size=None)),
        )
    sizes = {stop - start for start, stop in p.worker_envs}
    if len(sizes) > 1:
        even = p.n_workers * max(sizes)
        yield Advice(
            change=f"sampler.batch_B={even}",
            reason=f"workers have {min(sizes)} or {max(sizes)} environments: give each as many; a "
            "larger batch changes what is learned",
            predicted_gain=_without(p.sampling * (1 - p.batch_B / even)),
        )
    if p.batch_T % 2 == 0:
        wider = replace(present, batch_T=p.batch_T // 2, batch_B=2 * p.batch_B)
        yield Advice(
            change=f"sampler.batch_B={wider.batch_B} sampler.batch_T={wider.batch_T}",
            reason="half as many inference calls and hand-overs for a batch of the same size; "
            "shorter sequences change what is learned",
            predicted_gain=model.gain(wider),
        )


_SAMPLER_REASONS: dict[SamplerKind, str] = {
    "serial": "no process to wait for: what the workers do is too little to share out",
    "cpu": "workers share stepping and inference, and are waited for once in a batch",
    "gpu": "workers share stepping; one inference call serves all environments",
    "alternating": "inference for one half of the environments while the other half steps",
}


def _sampler_advice(p: RunProfile, model: CostModel, present: Setup) -> list[Advice]:
    """The best number of workers for each sampler; the two best samplers."""
    best: list[Advice] = []
    for kind in ("serial", "cpu", "gpu", "alternating"):
        least = 2 if kind == "alternating" else 1
        numbers = range(least, min(p.n_cpus, p.batch_B) + 1) if kind != "serial" else [1]
        setups = [replace(present, sampler=kind, workers=n) for n in numbers]
        setups = [setup for setup in setups if setup != present]
        if not setups:
            continue
        top = max(map(model.gain, setups))
        setup = next(s for s in setups if model.gain(s) >= 0.98 * top)  # fewer do as well
        option = f"--sampler {kind}" + (f" --workers {setup.workers}" if kind != "serial" else "")
        reason = _SAMPLER_REASONS[kind]
        if kind == p.sampler:
            reason = f"{workers_text(setup.workers)} on {p.n_cpus} CPUs instead of {p.n_workers}"
        best.append(Advice(change=option, reason=reason, predicted_gain=model.gain(setup)))
    return sorted(best, key=lambda advice: -advice.predicted_gain)[:2]


def _learner_advice(p: RunProfile) -> Iterator[Advice]:
    if p.updates_per_second <= 0.0:
        return
    update = p.learner_busy / p.updates_per_second
    threads = p.torch_threads if p.torch_threads is not None else p.n_cpus
    if p.can_compile and update < _SMALL_UPDATE:
        # What is traced has no memory; a compiler takes whatever there is.
        how, left = ("true", _COMPILED) if p.recurrent else ("trace", _TRACED)
        yield Advice(
            change=f"algo.compile={how}",
            reason=f"an update takes {1e3 * update:.1f} ms, mostly the overhead of calls; "
            f"so it takes about {100 * left:.0f} % of that",
            predicted_gain=_without(p.learner_busy * (1 - left)),
        )
    if update >= _SMALL_UPDATE and threads < p.n_cpus:
        saved = _PARALLEL * (1 - threads / p.n_cpus)
        yield Advice(
            change=f"torch_threads={p.n_cpus}",
            reason=f"an update takes {1e3 * update:.0f} ms, and CPUs are free meanwhile; the "
            "prediction takes half of its work to be shared by threads",
            predicted_gain=_without(p.learner_busy * saved),
        )


def _without(share: float) -> float:
    """The gain where ``share`` of the time goes away."""
    return 1.0 / max(0.05, 1.0 - share)


def _other_advice(p: RunProfile, overhead: float) -> Iterator[Advice]:
    if overhead >= 0.2:
        steps = 10 * p.row_steps
        yield Advice(
            change=f"log_interval_steps={steps} checkpoint_interval_steps={steps}",
            reason="log and save more rarely; the prediction is the most that it can give",
            predicted_gain=_without(overhead),
        )


def straggler_advice(p: RunProfile, *, excess: float) -> Advice:
    """What to do about the busiest worker, which costs ``excess`` of the wall time."""
    crowd = f"{p.workers_text} share {p.n_cpus} CPUs, or " if p.n_workers > p.n_cpus else ""
    return Advice(
        change=f"mend {p.slowest_text}",
        reason="its environments are slower than others (another level, file or server), or "
        f"{crowd}its CPU is busy with something else; predicted for a worker like the others",
        predicted_gain=_without(excess),
    )
