"""Small runs in several processes, and how they are compared, every rank of them."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from runner_fakes import (
    Drift,
    assert_same_state,
    final_state,
    rank_parts,
    read_rows,
    timeless,
)

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.runners.records import RunRecords
from rlpyt.runners.sync_rl import SyncRl
from rlpyt.utils.config import fresh

OFTEN = {"checkpoint_interval_steps": 1, "keep_checkpoints": 99}  # after every iteration
LAGS = ("Diagnostics/Lag0", "Diagnostics/Lag1")


class SlowDrift(Drift):
    """Now and then a step takes some milliseconds, in no order that can be foreseen."""

    def step(self, action):
        if random.random() < 0.05:
            time.sleep(random.uniform(0, 0.01))
        return super().step(action)


def as_sync(runner: MinibatchRl, world_size: int | None = 2, **settings: Any) -> SyncRl:
    """The same run, each of its processes with the sampler of ``runner``."""
    return SyncRl(**{**_common(runner), "world_size": world_size, "timeout": 60.0, **settings})


def as_async(runner: MinibatchRl, **settings: Any) -> AsyncRl:
    """The same run, its sampler in another process."""
    return AsyncRl(**{**_common(runner), "timeout": 60.0, **settings})


def _common(runner: BaseRunner) -> dict[str, Any]:
    plain = fresh(runner)
    return {f.name: getattr(plain, f.name) for f in fields(BaseRunner) if f.init}


@contextmanager
def stopped_after(n: int, signum: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """A signal to this process in the ``n``-th iteration of this session, after it has learned."""
    add, count = RunRecords.add, [0]

    def adding(self: RunRecords, *args: Any) -> None:
        count[0] += 1
        if count[0] == n:
            signal.raise_signal(signum)
        add(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunRecords, "add", adding)
        with pytest.raises(SystemExit) as ended:
            yield
    assert ended.value.code == 128 + signum


def rank_states(run_dir: Path) -> list[dict[str, Any]]:
    """What the newest checkpoint holds, by rank."""
    return [final_state(run_dir, part) for part in rank_parts(run_dir)]


def assert_same_checkpoints(one: Path, other: Path) -> None:
    """All that were saved, in every rank."""
    assert rank_parts(one) == rank_parts(other)
    for part in rank_parts(one):
        saved = [sorted(Checkpointer(run / "checkpoints" / part).saved()) for run in (one, other)]
        assert saved[0] == saved[1]
        for itr in saved[0]:
            assert_same_state(final_state(one, part, itr), final_state(other, part, itr))


def assert_equal_ranks(run_dir: Path, n_ranks: int = 2) -> None:
    """All have the same parameters, target networks and optimizers, to the last bit; not the same
    noise.
    """
    states = rank_states(run_dir)
    assert len(states) == n_ranks
    shared = [
        name
        for name in states[0]["arrays"]
        if name.startswith(("agent/", "algo/gradient", "algo/target", "algo/critic", "algo/online"))
        and "noise_" not in name
    ]
    assert len(shared) > 3
    for other in states[1:]:
        assert other["itr"] == states[0]["itr"]
        for name in shared:
            one, two = states[0]["arrays"][name], other["arrays"][name]
            assert one.numpy().tobytes() == two.numpy().tobytes(), name


def assert_learned_the_same(alone: Path, run_dir: Path) -> None:
    """The run in one process, and one that was to equal it: all but where the sampler keeps its
    state, and the columns of time and lag.
    """
    a, b = final_state(alone), final_state(run_dir)
    assert a["itr"] == b["itr"]
    found = {
        name.replace("sampler/sampler/", "sampler/", 1): array
        for name, array in b["arrays"].items()
    }
    assert a["arrays"].keys() == found.keys()
    for name, array in a["arrays"].items():
        assert array.numpy().tobytes() == found[name].numpy().tobytes(), name
    rows, others = timeless(read_rows(alone)), timeless(read_rows(run_dir))
    assert rows == [{k: v for k, v in row.items() if k not in LAGS} for row in others]
    assert len(rows) > 0
