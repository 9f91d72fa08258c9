"""viskit and TensorBoard read every run: whole, resumed, of any runner, whatever its columns."""

import csv
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from readers import events, viskit_distinct, viskit_load

from rlpyt.agents.dqn import DqnAgent
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.dqn import DQN
from rlpyt.algos.pg.ppo import PPO
from rlpyt.logging.context import logger_context
from rlpyt.logging.statistics import scalar_tag
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

STEPS = "Diagnostics/CumSteps"


def parts(algorithm: str) -> dict[str, Any]:
    """Of DQN, columns of the loss have no numbers, and are not there, before it learns."""
    kinds: dict[str, Any] = {
        "ppo": (PPO(epochs=1, minibatches=1), PgAgent(model_kwargs={"hidden_sizes": [8]})),
        "dqn": (
            DQN(replay=ReplayBuffer(size=1000), min_steps_learn=300, batch_size=16),
            DqnAgent(model_kwargs={"hidden_sizes": [8]}),
        ),
    }
    algo, agent = kinds[algorithm]
    sampler = SerialSampler(env="CartPole-v1", batch_T=16, batch_B=2)
    return {"algo": algo, "agent": agent, "sampler": sampler, "n_steps": 640}


def train(runner: BaseRunner, log_dir: Path, run_ID: int = 0, *, resume: bool = False) -> Path:
    with logger_context(log_dir, run_ID, "test", console=False, resume=resume) as logger:
        runner.train(logger, resume=resume)
        return logger.run_dir


def check(run_dir: Path) -> dict[str, list[float]]:
    """Every number of progress.csv is in viskit's curves and in TensorBoard's, at its step."""
    [(params, columns)] = viskit_load(run_dir)
    assert params["exp_name"] == "test"
    assert {"algo.learning_rate", "sampler.batch_T", "seed"} <= params.keys()
    steps = [int(step) for step in columns[STEPS]]
    assert steps == sorted(set(steps))
    with (run_dir / "progress.csv").open() as file:
        assert len({len(row) for row in csv.reader(file)}) == 1
    assert len({len(values) for values in columns.values()}) == 1
    shown = {name for name, values in columns.items() if not all(map(math.isnan, values))}
    points = events(run_dir)
    assert points.keys() == {scalar_tag(name) for name in shown}
    for name in shown:
        expected = [pair for pair in zip(steps, columns[name], strict=True) if pair[1] == pair[1]]
        found = points[scalar_tag(name)]
        assert [step for step, _ in found] == [step for step, _ in expected], name
        assert [value for _, value in found] == pytest.approx([x for _, x in expected], rel=1e-6)
    return columns


def test_a_run(tmp_path: Path):
    columns = check(train(MinibatchRl(**parts("ppo"), evaluator=Evaluator(episodes=2)), tmp_path))
    assert "ReturnAverage" in columns
    assert math.isnan(columns["lossAverage"][0])  # evaluated before it learned


def test_columns_that_appear_later(tmp_path: Path):
    columns = check(train(MinibatchRl(**parts("dqn")), tmp_path))
    loss = [math.isnan(value) for value in columns["lossAverage"]]
    assert loss[0]
    assert not loss[-1]
    assert list(columns).index("lossAverage") > list(columns).index("ReturnAverage")


def test_a_resumed_run_before_the_columns_appeared(tmp_path: Path):
    """Rows after the checkpoint are cut and come again, with their columns."""
    runner = MinibatchRl(**parts("dqn"), log_interval_steps=64, checkpoint_interval_steps=192)
    train(replace(runner, n_steps=448), tmp_path)
    checkpoints = tmp_path / "run_0" / "checkpoints"
    newest = max(checkpoints.glob("itr_*"))
    for path in sorted(newest.glob("*")):
        path.unlink()
    newest.rmdir()
    time.sleep(1.0)  # TensorBoard sorts files by seconds, then as text: 10 before 9
    assert len(check_partial(tmp_path / "run_0")) == 7
    run_dir = train(runner, tmp_path, resume=True)
    columns = check(run_dir)
    assert columns[STEPS] == [64.0 * i for i in range(1, 11)]
    whole = check(train(runner, tmp_path / "whole"))
    assert columns["lossAverage"][-1] == whole["lossAverage"][-1]
    assert len(list(run_dir.glob("events*"))) == 2


def check_partial(run_dir: Path) -> list[float]:
    [(_, columns)] = viskit_load(run_dir)
    return columns[STEPS]


def test_a_run_of_several_processes(tmp_path: Path):
    columns = check(train(AsyncRl(**parts("dqn")), tmp_path))
    assert any(name.startswith("Diagnostics/Lag") for name in columns)


def test_several_runs_are_told_apart_by_what_differs(tmp_path: Path):
    for run_ID, rate in enumerate((1e-3, 3e-4, 3e-4)):
        made = parts("ppo")
        made |= {"algo": replace(made["algo"], learning_rate=rate), "n_steps": 64}
        train(MinibatchRl(**made, seed=run_ID), tmp_path, run_ID)
    runs = viskit_load(tmp_path)
    assert len(runs) == 3
    assert viskit_distinct(runs) == {"algo.learning_rate": {"0.001", "0.0003"}}
