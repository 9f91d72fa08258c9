"""What a change of sampler would do to the speed of a run: a few lines of arithmetic on what the
run has measured.

The time for one step of all B environments, with n workers on C CPUs, p = min(n, C):

    serial       B·e + a(B)
    cpu          B·e / p + a(B/n)·n/p                   + h / T
    gpu          B·e / p + a(B)                         + h
    alternating  max(B·e / p + a(B/2), 2·a(B/2),
                     (B·e + 2·a(B/2)) / C)              + h

where e is the time of one environment step, a(b) that of inference for b environments, which is a
fixed cost per call and a cost per environment, and h that of a hand-over between master and
workers. A suite's own vector environment is taken to need half of e, and a fixed cost per call.
What the formula does not explain (learning, logs, an uneven load) is taken to stay.
"""

import math
from dataclasses import dataclass
from typing import final

from rlpyt.evaluation.profile import RunProfile, SamplerKind

__all__ = ["CostModel", "Setup"]

_CALL = 1.5e-4  # s, of one inference call before any work: what small networks take on a CPU
_NATIVE = (6e-5, 0.5)  # s of one call for a vector of environments; the part of e that is left
_HANDOVER = (4e-5, 3e-5)  # s, of waking workers and hearing from them: once, and per worker


@final
@dataclass(frozen=True, kw_only=True)
class Setup:
    """What can be changed about sampling."""

    sampler: SamplerKind
    workers: int
    batch_T: int
    batch_B: int
    group_size: int | None
    goes_native: bool = False  # from stepping one by one to the suite's own vector environment

    @staticmethod
    def of(profile: RunProfile) -> "Setup":
        """As the run is."""
        return Setup(
            sampler=profile.sampler,
            workers=profile.n_workers,
            batch_T=profile.batch_T,
            batch_B=profile.batch_B,
            group_size=profile.group_size,
        )


@final
class CostModel:
    """Predicts the speed of other setups from the profile of one."""

    def __init__(self, profile: RunProfile) -> None:
        """Find the costs behind the shares."""
        self._present = present = Setup.of(profile)
        self._cpus = profile.n_cpus
        B, n = present.batch_B, present.workers
        round_seconds = B / profile.steps_per_second
        share = min(n, self._cpus) / n  # more workers than CPUs: a part of their time is waiting
        self._env = profile.worker_env * n * share * round_seconds / B
        calls, envs = self._calls(present)
        inference = profile.sampler_act
        if present.sampler == "cpu":
            inference = profile.worker_act * share
        one_call = inference * round_seconds / calls
        self._call = min(one_call, _CALL)
        self._row = (one_call - self._call) / envs
        busiest = profile.worker_imbalance * (profile.worker_env + profile.worker_act)
        self._waited = max(0.0, profile.sampler_wait - busiest) * round_seconds
        self._rest = max(0.0, 1.0 / profile.steps_per_second - self._sampling(present))

    def gain(self, setup: Setup) -> float:
        """The predicted speed of ``setup`` over the present one."""
        now = self._sampling(self._present) + self._rest
        return now / (self._sampling(setup) + self._rest)

    def _calls(self, setup: Setup) -> tuple[int, float]:
        """Inference calls one after the other per step of all environments, and environments in
        each.
        """
        parts = {"cpu": setup.workers, "alternating": 2}.get(setup.sampler, 1)
        envs = setup.batch_B / parts
        group = envs if setup.group_size is None else min(setup.group_size, envs)
        in_turn = 2 if setup.sampler == "alternating" else 1
        return in_turn * math.ceil(envs / group), group

    def _sampling(self, setup: Setup) -> float:
        """Seconds of sampling per environment step."""
        B, n = setup.batch_B, setup.workers
        env = B * self._env
        if setup.goes_native:
            env = n * _NATIVE[0] + env * _NATIVE[1]
        calls, envs = self._calls(setup)
        inference = calls * (self._call + envs * self._row)
        handover = self._handover(setup)
        p = min(n, self._cpus)
        if setup.sampler == "serial":
            seconds = env + inference
        elif setup.sampler == "cpu":
            seconds = env / p + inference * n / p + handover
        elif setup.sampler == "gpu":
            seconds = env / p + inference + handover
        else:  # the longest of: one half's cycle, the master's work, all work on all CPUs
            cycle = env / p + inference / 2
            seconds = max(cycle, inference, (env + inference) / self._cpus) + handover
        return seconds / B

    def _handover(self, setup: Setup) -> float:
        """Seconds per step of all environments, of which the log tells where there are workers."""
        usual = _HANDOVER[0] + _HANDOVER[1] * setup.workers
        before, T = self._present, setup.batch_T
        if before.sampler == "serial":
            return usual / T if setup.sampler == "cpu" else usual
        if before.sampler == "cpu":
            seen = (
                self._waited * before.batch_T
            )  # at the end of a batch, for chance differences too
            return seen / T if setup.sampler == "cpu" else min(max(seen, usual), 5 * usual)
        return self._waited / T if setup.sampler == "cpu" else self._waited
