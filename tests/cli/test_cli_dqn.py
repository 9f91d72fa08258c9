"""Q-learning from the command line: defaults, the forecast of the replay, resuming without it."""

import json
import re
from pathlib import Path

import pytest
from conftest import QUICK

from rlpyt.algos import DQN, IQN, NGU, PQN, QRDQN, R2D1, Agent57, CategoricalDQN
from rlpyt.cli.presets import ALGORITHMS, default_runner
from rlpyt.cli.rundir import load_runner
from rlpyt.envs import AtariTrajInfo, EnvConfig
from rlpyt.replays import ArrayStorage, FrameStorage

CLASSES = {
    "agent57": Agent57,
    "c51": CategoricalDQN,
    "dqn": DQN,
    "iqn": IQN,
    "ngu": NGU,
    "pqn": PQN,
    "qrdqn": QRDQN,
    "r2d1": R2D1,
    "rainbow": CategoricalDQN,
}
SHORT = ["--steps", "640", "--n-envs", "2", *QUICK]
LEARN_AT_ONCE = ["algo.min_steps_learn=128", "algo.replay_ratio=1.0", "algo.batch_size=4"]


@pytest.mark.parametrize("name", ["agent57", "ngu", "r2d1"])
def test_rewards_are_not_clipped_where_values_are_rescaled(name):
    game = EnvConfig(id="ALE/Pong-v5")
    assert default_runner(name, game).sampler.env.atari.reward_clip is None
    assert default_runner("dqn", game).sampler.env.atari.reward_clip == 1.0
    plain = EnvConfig(id="CartPole-v1")
    assert default_runner(name, plain).sampler.env == plain


@pytest.mark.parametrize("name", CLASSES)
def test_every_algorithm_trains_from_its_name(rlpyt, name):
    assert name in ALGORITHMS
    learn = ["algo.epochs=1", "algo.minibatches=2"] if name == "pqn" else LEARN_AT_ONCE
    result = rlpyt("train", name, "CartPole-v1", "--out", "run", *SHORT, *learn)
    assert result.code == 0, result.err
    assert type(load_runner(Path("run")).algo) is CLASSES[name]
    header, *rows = Path("run/progress.csv").read_text().splitlines()
    loss = header.split(",").index("lossAverage")
    assert any(row.split(",")[loss] not in {"", "nan"} for row in rows)


@pytest.mark.parametrize("name", CLASSES)
def test_on_atari_stacks_are_kept_once_and_scores_are_the_games(name):
    runner = default_runner(name, EnvConfig(id="ALE/Pong-v5"))
    assert runner.sampler.TrajInfoCls is AtariTrajInfo
    if name != "pqn":
        assert runner.algo.replay.size == 1_000_000
        assert runner.algo.replay.storage == FrameStorage(n_frames=4)


def test_without_stacks_observations_are_kept_whole():
    runner = default_runner("dqn", EnvConfig(id="CartPole-v1"))
    assert runner.algo.replay.storage == ArrayStorage()


def test_atari_runs_and_logs_the_score_of_the_game(rlpyt):
    small = ["algo.replay.size=2000", "agent.model_kwargs.hidden_sizes=[8]"]
    words = ["--steps", "320", "--n-envs", "2", "sampler.env.atari.max_frames=240"]
    quiet = ["--no-tensorboard", "--no-plot"]
    learn = [*LEARN_AT_ONCE, "algo.replay_ratio=0.1"]
    result = rlpyt("train", "dqn", "ALE/Pong-v5", "--out", "run", *words, *quiet, *small, *learn)
    assert result.code == 0, result.err
    assert re.search(r"^the replay takes 1\d\.\d MB when it is full$", result.out, re.MULTILINE)
    header = Path("run/progress.csv").read_text().splitlines()[0].split(",")
    assert {"ReturnAverage", "GameScoreAverage"} <= set(header)


def test_a_replay_that_does_not_fit_is_refused_with_the_number(rlpyt):
    result = rlpyt("train", "dqn", "ALE/Pong-v5", "--out", "run", *QUICK, "algo.replay.size=1e9")
    assert re.search(r"the replay takes 7\d{3}\.\d GB, [\d.]+ GB of memory are free", result.error)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["dqn", "Pendulum-v1"], "Q-learning takes the best of n actions"),
        (["dqn", "CartPole-v1", "--recurrent", "lstm"], "use r2d1 or pqn"),
        (["dqn", "CartPole-v1", "agent.model_kwargs.head=quantile"], "use 'q'"),
        (["dqnn", "CartPole-v1"], "did you mean 'dqn'"),
    ],
)
def test_what_does_not_fit_is_one_line(rlpyt, words, error):
    result = rlpyt("train", *words, "--out", "run", *QUICK)
    assert error in result.error


@pytest.fixture
def without_replay(rlpyt):
    """A run that stands at 640 of 1280 steps and left its replay out of its checkpoints."""
    run = ["train", "dqn", "CartPole-v1", "--out", "run", *SHORT, *LEARN_AT_ONCE]
    settings = ["sampler.batch_T=4", "algo.replay.checkpointed=false"]
    assert rlpyt(*run, *settings).code == 0
    params = Path("run/params.json")
    longer = json.loads(params.read_text()) | {"n_steps": 1280}
    params.write_text(json.dumps(longer))
    Path("run/state.json").write_text(json.dumps({"state": "stopped"}))
    return Path("run")


def test_a_run_without_its_replay_is_not_resumed_unless_asked(rlpyt, without_replay):
    result = rlpyt("resume", without_replay, *QUICK)
    assert "the checkpoint holds no replay (algo.replay.checkpointed=false)" in result.error
    assert "--empty-replay" in result.error
    result = rlpyt("resume", without_replay, "--empty-replay", *QUICK)
    assert result.code == 0, result.err
    header, *rows = Path("run/progress.csv").read_text().splitlines()
    column = {name: place for place, name in enumerate(header.split(","))}
    last = rows[-1].split(",")
    assert float(last[column["Diagnostics/CumSteps"]]) == 1280
    # Twice the first 120 steps filled a replay; of the rest, each four are worth an update.
    assert int(float(last[column["Diagnostics/CumUpdates"]])) == (1280 - 2 * 120) // 4
