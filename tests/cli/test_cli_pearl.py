"""PEARL from the command line: trials of what has tasks, evaluations that draw their guesses."""

from pathlib import Path

import pytest
from conftest import QUICK

from rlpyt.cli.presets import default_runner
from rlpyt.cli.rundir import load_runner
from rlpyt.envs import EnvConfig

POINTS = "rlpyt.envs.meta:point_robot"
SMALL = ["algo.train_steps=2", "algo.min_steps_learn=100", "algo.hidden_sizes=[8]"]


def test_it_trains_goes_on_and_is_evaluated_on_tasks_never_trained_on(rlpyt):
    words = ["pearl", POINTS, "--steps", "4000", "--out", "run"]
    words += ["log_interval_steps=2000", "pause_steps=2000"]
    assert rlpyt("train", *words, *SMALL, *QUICK).code == 0
    runner = load_runner(Path("run"))
    tasks = runner.evaluator.env.kwargs
    assert (tasks["env"], tasks["n_train"], tasks["n_test"]) == (POINTS, 80, 20)
    assert "FirstEpisodeReturnAverage" in Path("run/progress.csv").read_text()
    assert rlpyt("resume", "run", "--quiet").code == 0
    result = rlpyt("eval", "run", "--episodes", "20", "--json")
    assert result.code == 0, result.err
    assert '"LastEpisodeReturnAverage"' in result.out
    again = rlpyt("eval", "run", "--episodes", "20", "--json", "--seed", "5")
    assert again.out != result.out  # other guesses, other starts


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["CartPole-v1"], "has no tasks"),
        ([POINTS, "--recurrent", "lstm"], "its memory is the belief"),
        (["trial_fakes:Scripted"], "no time limit"),
    ],
)
def test_what_cannot_be_is_one_line(rlpyt, words, told):
    result = rlpyt("train", "pearl", *words, "--out", "run", "--steps", "400", *QUICK)
    assert result.code != 0
    assert told in result.err
    assert not Path("run").exists()


def test_few_tasks_are_trained_and_tested_alike():
    pytest.importorskip("mujoco", reason="the optional package mujoco is not installed")
    pytest.importorskip("imageio", reason="the optional package imageio is not installed")
    runner = default_runner("pearl", EnvConfig(id="rlpyt.envs.meta:cheetah_dir"))
    tasks = runner.evaluator.env.kwargs
    assert (tasks["n_train"], tasks["n_test"], tasks["overlap"]) == (2, 2, True)
    assert runner.sampler.batch_T == 2 * 400
