"""Actor-critics of images, and the algorithms that generalise, from the command line."""

from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK
from gymnasium import spaces

from rlpyt.algos import DAAC, PPG, SAC, DrAC, DrQV2
from rlpyt.cli.presets.pixels import drqv2
from rlpyt.cli.rundir import load_runner
from rlpyt.data import EnvSpaces
from rlpyt.envs import EnvConfig
from rlpyt.replays import FrameStorage

DOT = "pixel_fakes:Dot"
SMALL = [
    "algo.min_steps_learn=40",
    "agent.exploration.random_steps=40",
    "algo.batch_size=4",
    "algo.replay_ratio=2",
    "algo.replay.size=500",
    "algo.critic_kwargs.hidden_sizes=[8]",
    "agent.model_kwargs.hidden_sizes=[8]",
]


@pytest.mark.parametrize(("name", "AlgoCls"), [("drqv2", DrQV2), ("rad_sac", SAC)])
def test_pixels_are_learned_from_and_a_paused_run_goes_on_as_if_it_had_not_been(
    rlpyt, name, AlgoCls
):
    words = ["train", name, DOT, "--steps", "120", "log_interval_steps=40", *QUICK, *SMALL]
    for out, pause in (("whole", []), ("paused", ["pause_steps=80"])):
        result = rlpyt(*words, "--out", out, *pause)
        assert result.code == 0, result.err
    assert type(load_runner(Path("whole")).algo) is AlgoCls
    assert rlpyt("resume", "paused", "--quiet").code == 0
    whole, paused = (
        rlpyt("eval", run, "--episodes", "3", "--json").out.replace(run, "RUN")
        for run in ("whole", "paused")
    )
    assert "ReturnAverage" in whole
    assert paused == whole


def test_stacked_images_of_the_suite_are_kept_once():
    env = EnvConfig(id="dm_control_pixels/cartpole-swingup-v0")
    images = spaces.Box(0, 255, (9, 84, 84), np.uint8)
    replay = drqv2(env, EnvSpaces(images, spaces.Box(-1.0, 1.0, (1,))), "none").algo.replay
    assert isinstance(replay.storage, FrameStorage)
    assert (replay.size, replay.n_step_return, replay.storage.n_frames) == (100_000, 3, 3)


GENERALISE = {"daac": DAAC, "drac": DrAC, "drdaac": DAAC, "ppg": PPG}


@pytest.mark.parametrize("name", GENERALISE)
def test_what_generalises_trains_from_its_name_and_is_evaluated(rlpyt, name):
    words = ["CartPole-v1", "--steps", "2048", "--n-envs", "2", "sampler.batch_T=32", *QUICK]
    result = rlpyt("train", name, *words, "--out", "run")
    assert result.code == 0, result.err
    assert type(load_runner(Path("run")).algo) is GENERALISE[name]
    assert rlpyt("eval", "run", "--episodes", "2").code == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["drqv2", "Pendulum-v1"], "learns from images"),
        (["rad_sac", "CartPole-v1"], "use td3 or sac without images"),
        (["drqv2", DOT, "--recurrent", "lstm"], "use sac, with algo.augmentation=RandomShift"),
        (["drqv2", DOT, "algo.noise_clip=-1"], "algo.noise_clip=-1"),
        (["ppg", "CartPole-v1", "--recurrent", "gru"], "use drac or ppo"),
        (["drac", "CartPole-v1", "algo.augmentation.low=3"], "RandomAmplitudeScaling.low=3.0"),
        (["drac", "CartPole-v1", "algo.augmentation=RandomShift"], "(algo.augmentation=Random"),
        (["drac", "FrozenLake-v1"], "use PPO: DrAC needs images"),
    ],
)
def test_what_does_not_fit_is_one_line(rlpyt, words, error):
    result = rlpyt("train", *words, "--out", "run", *QUICK)
    assert error in result.error
    assert result.code == 2
    assert not Path("run").exists()
