"""repro: whether a run is the same twice, and under another sampler; else what differs first."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlpyt.algos.pg.a2c import A2C
from rlpyt.evaluation.same_run import state_differences

TRAIN = ["train", "a2c", "CartPole-v1", "--steps", "1280", "--out", "runs/a", "--quiet"]
SMALL = ["sampler.batch_T=4", "sampler.batch_B=4", "agent.model_kwargs.hidden_sizes=[8]"]

pytestmark = pytest.mark.filterwarnings("ignore:.*share .* usable CPU:RuntimeWarning")


@pytest.fixture
def run(rlpyt) -> Path:
    assert rlpyt(*TRAIN, *SMALL, "--no-tensorboard", "--no-plot").code == 0
    return Path("runs/a")


def spoil(monkeypatch: pytest.MonkeyPatch, itr: int) -> None:
    """In the second of two runs, one parameter is another after iteration ``itr`` (from 0)."""
    optimize, seen = A2C.optimize_agent, set[int]()

    def optimize_agent(self: A2C, now: int, samples: Any) -> Any:
        info = optimize(self, now, samples)
        if now == itr and id(self) not in seen:
            seen.add(id(self))
            keep.append(self)
            if len(seen) % 2 == 0:
                with torch.no_grad():
                    next(iter(self.agent.model.parameters()))[0, 1] += 1.0
        return info

    keep: list[A2C] = []
    monkeypatch.setattr(A2C, "optimize_agent", optimize_agent)


def test_a_run_is_the_same_twice(rlpyt, run: Path) -> None:
    before = sorted(run.rglob("*"))
    result = rlpyt("repro", run, "--steps", "320")
    assert result.code == 0
    line = result.out.splitlines()[-1]
    assert line == "identical: two runs with SerialSampler, 320 steps, 21 states compared"
    assert sorted(run.rglob("*")) == before


def test_and_under_another_sampler(rlpyt, run: Path) -> None:
    result = rlpyt("repro", run, "--against", "cpu", "--workers", "2", "--steps", "64", "--json")
    told = json.loads(result.out)
    assert result.code == 0
    assert told["identical"]
    assert told["samplers"] == ["SerialSampler", "CpuSampler"]
    assert told["steps"] == 64
    assert "group_size=1" in told["note"]


def test_it_names_the_iteration_and_the_tensor(rlpyt, run: Path, monkeypatch) -> None:
    """Of 80 iterations every fourth is saved: the stretch before is trained again."""
    spoil(monkeypatch, itr=36)
    result = rlpyt("repro", run, "--json")
    told = json.loads(result.out)
    assert result.code == 1
    assert (told["iteration"], told["equal_until"], told["at_steps"]) == (37, 36, 592)
    assert told["tensor"].startswith("agent/model/")
    assert told["element"] == [0, 1]
    values = [float(value) for value in told["values"]]
    assert values[1] == pytest.approx(values[0] + 1.0, abs=1e-5)


def test_what_cannot_be_asked_for(rlpyt, run: Path) -> None:
    assert "--workers" in rlpyt("repro", run, "--workers", "2").error
    assert "is there already" in rlpyt("repro", run, "--out", run).error


def test_differences_of_states() -> None:
    def state(**changes: Any) -> dict[str, Any]:
        whole = {
            "itr": 3,
            "agent": {"w": torch.tensor([[1.0, 2.0], [0.0, 4.0]])},
            "algo": {"replay": {"size": 3}, "noise": np.zeros(2)},
            "sampler": {"seed": 1},
            "records": {"cum_time": 1.0, "score": float("nan")},
        }
        return {**whole, **changes}

    assert state_differences(state(), state(records={"cum_time": 2.0, "score": float("nan")})) == []
    assert (
        state_differences(state(), state(sampler={"sampler": {"seed": 1}, "pending": None})) == []
    )
    signed = state(agent={"w": torch.tensor([[1.0, 2.0], [-0.0, 4.0]])}, sampler={"seed": 2})
    first, second = state_differences(state(), signed)
    assert str(first) == "sampler/seed: 1 and 2"
    assert str(second) == "agent/w[1, 0]: 0.0 and -0.0"
    more = state(agent={"w": state()["agent"]["w"], "v": torch.ones(1)})
    told = [
        str(each)
        for pair in ((state(), more), (more, state()))
        for each in state_differences(*pair)
    ]
    assert told == ["agent/v: nothing and float32[1]", "agent/v: float32[1] and nothing"]
    two = state(agent={"w": torch.tensor([[1.0, 9.0], [0.0, 5.0]])})
    [several] = state_differences(state(), two)
    assert str(several) == "agent/w[0, 1]: 2.0 and 9.0 (2 elements differ)"  # the first of them
    [other] = state_differences(state(), state(algo={"replay": {"size": 3}, "noise": np.zeros(3)}))
    assert str(other) == "algo/noise: float64[2] and float64[3]"
