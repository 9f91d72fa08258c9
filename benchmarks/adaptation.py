"""What an agent makes of tasks never trained on, trajectory by trajectory: finished PEARL runs.

    python benchmarks/adaptation.py data/local/.../run_0 [RUN_DIR ...] --trials 10

For each run: the mean return of every trajectory over all its test tasks, ``--trials`` trials of
each. The first ones are from the prior. For the point robot also what an oracle gets that knows the
goal and goes straight there, and which part of the way from the prior to it the last trajectory
has come; for the sparse one, in which part of the trials the last five trajectories have met the
goal, which the first have where they were lucky.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.options import add_json, write_json
from peers.report import machine
from rich.console import Console
from rich.table import Table

from rlpyt.agents import PearlAgent
from rlpyt.cli.rundir import checkpoints_of, find_run, load_runner
from rlpyt.cli.samplers import as_sampler
from rlpyt.envs import task_split
from rlpyt.runners import MinibatchRl

STARTS, STEPS, MOVE = 1_000, 20, 0.1


def returns_of(runner: MinibatchRl, run_dir: Path, trials: int, seed: int) -> Any:
    """Of each trajectory, [tasks, trials, trajectories]."""
    agent, evaluator = runner.agent, runner.evaluator
    assert isinstance(agent, PearlAgent)
    assert evaluator is not None
    agent.initialize(runner.sampler.env_spaces(), seed=0, device=torch.device("cpu"))
    state, _manifest = checkpoints_of(run_dir).load_latest()
    agent.load_state_dict(state["agent"])
    n_tasks = tasks_of(runner)["n_test"]
    evaluator = replace(evaluator, episodes=trials * n_tasks, n_envs=n_tasks)
    evaluator.initialize(agent, as_sampler(runner.sampler, "serial"), seed=seed, discount=1.0)
    trajs: list[Any] = sorted(evaluator.evaluate(0), key=lambda traj: traj.env_index)
    evaluator.shutdown()
    return np.array([traj.returns for traj in trajs]).reshape(n_tasks, trials, -1)


def tasks_of(runner: MinibatchRl) -> dict[str, Any]:
    """The arguments that its trials are made with."""
    assert runner.evaluator is not None
    kwargs: dict[str, Any] = runner.evaluator.env.kwargs  # type: ignore[union-attr]  # an EnvConfig
    return kwargs


def oracle(tasks: dict[str, Any]) -> float:
    """The best that can be had on the test tasks of the point robot: full speed to the goal."""
    split = task_split(tasks["env"], tasks["n_train"], tasks["n_test"], seed=tasks["task_seed"])
    goals = np.array([task["goal"] for task in split.test])[:, None]
    positions = np.random.default_rng(0).uniform(-1.0, 1.0, (len(goals), STARTS, 2))
    total = 0.0
    for _ in range(STEPS):
        positions = positions + (goals - positions).clip(-MOVE, MOVE)
        total -= float(np.linalg.norm(goals - positions, axis=-1).mean())
    return total


def told(runner: MinibatchRl, returns: Any) -> dict[str, float]:
    """The figures of a run."""
    name = str(tasks_of(runner)["env"]).rpartition(":")[2]
    first, last = returns[..., 0], returns[..., -1]
    gain = (last - first).mean(1)  # of each task
    found = {
        "first trajectory": float(first.mean()),
        "last trajectory": float(last.mean()),
        "gain": float(gain.mean()),
        "standard error of the gain": float(gain.std(ddof=1) / np.sqrt(len(gain))),
    }
    if name == "point_robot":
        best = oracle(tasks_of(runner))
        closed = (found["last trajectory"] - found["first trajectory"]) / (
            best - found["first trajectory"]
        )
        return {**found, "oracle": best, "closed": closed}
    if name == "sparse_point_robot":
        met = returns > 0
        return {
            **found,
            "met the goal, first five": float(met[..., :5].any(-1).mean()),
            "met the goal, last five": float(met[..., -5:].any(-1).mean()),
        }
    return found


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dirs", nargs="+", type=Path, metavar="RUN_DIR")
    parser.add_argument("--trials", type=int, default=10, help="of each test task (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the evaluation")
    add_json(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console, results = Console(width=140), {}
    for given in arguments.run_dirs:
        run_dir = find_run(given)
        runner = load_runner(run_dir)
        returns = returns_of(runner, run_dir, arguments.trials, arguments.seed)
        figures = told(runner, returns)
        curve = returns.mean((0, 1))
        table = Table(title=f"{tasks_of(runner)['env']}: {run_dir}")
        table.add_column("")
        table.add_column("", justify="right")
        for name, value in figures.items():
            table.add_row(name, f"{value:.3f}")
        console.print(table)
        console.print("by trajectory: " + ", ".join(f"{value:.2f}" for value in curve))
        results[str(run_dir)] = {**figures, "curve": curve.tolist()}
    write_json(arguments.json, {"machine": machine(), "runs": results})


if __name__ == "__main__":
    main()
