"""Continuous control from the command line."""

from pathlib import Path

import pytest
from conftest import QUICK

from rlpyt.algos import DDPG, REDQ, SAC, TD3, TQC, CrossQ, DiscreteSAC
from rlpyt.cli.presets import default_runner
from rlpyt.cli.rundir import load_runner
from rlpyt.envs import EnvConfig

CLASSES = {"crossq": CrossQ, "ddpg": DDPG, "redq": REDQ, "sac": SAC, "td3": TD3, "tqc": TQC}
SMALL = [
    "algo.min_steps_learn=100",
    "agent.exploration.random_steps=100",
    "algo.batch_size=8",
    "algo.replay_ratio=8",
    "algo.replay.size=1000",
    "algo.critic_kwargs.hidden_sizes=[8]",
    "agent.model_kwargs.hidden_sizes=[8]",
]


@pytest.mark.parametrize("name", CLASSES)
def test_every_algorithm_trains_from_its_name_and_is_evaluated(rlpyt, name):
    words = ["Pendulum-v1", "--steps", "400", "--out", "run", *QUICK, *SMALL]
    result = rlpyt("train", name, *words)
    assert result.code == 0, result.err
    assert type(load_runner(Path("run")).algo) is CLASSES[name]
    header, *rows = Path("run/progress.csv").read_text().splitlines()
    for column in ("qLossAverage", "piLossAverage", "qGradNormAverage"):
        place = header.split(",").index(column)
        assert any(row.split(",")[place] not in {"", "nan"} for row in rows), column
    assert rlpyt("eval", "run", "--episodes", "2").code == 0


def test_sac_takes_its_discrete_form_where_actions_are(rlpyt):
    result = rlpyt("train", "sac", "CartPole-v1", "--steps", "400", "--out", "run", *QUICK, *SMALL)
    assert result.code == 0, result.err
    assert type(load_runner(Path("run")).algo) is DiscreteSAC


@pytest.mark.parametrize("name", ["ddpg", "sac", "td3"])
def test_with_a_memory_it_learns_from_sequences(rlpyt, name):
    words = ["Pendulum-v1", "--steps", "400", "--out", "run", "--recurrent", "gru", *QUICK, *SMALL]
    sizes = ["algo.critic_kwargs.rnn_size=8", "agent.model_kwargs.rnn_size=8"]
    result = rlpyt("train", name, *words, *sizes)
    assert result.code == 0, result.err
    runner = load_runner(Path("run"))
    assert runner.algo.replay.sequence_length == 20
    assert runner.agent.model_kwargs["recurrent"] == "gru"
    assert "qLossAverage" in Path("run/progress.csv").read_text()


def test_every_step_is_learned_from():
    runner = default_runner("sac", EnvConfig(id="Pendulum-v1"))
    assert runner.sampler.batch_spec.size == 1
    assert runner.algo.replay_ratio == runner.algo.batch_size == 256


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["td3", "CartPole-v1"], "only sac knows another form"),
        (["crossq", "Pendulum-v1", "--recurrent", "lstm"], "use sac"),
        (["sac", "Pendulum-v1", "agent.policy=deterministic"], "policy='gaussian'"),
        (["sac", "Pendulum-v1", "algo.temperature.initial=-1"], "algo.temperature.initial=-1"),
        (["sac", "Pendulum-v1", "algo.critic_kwargs.recurrent=gru"], "set all three, or none"),
        (["sac", "Pendulum-v1", "algo.critic_kwargs.batch_renorm=true"], "only CrossQ has it"),
        (["crossq", "Pendulum-v1", "algo.critic_kwargs.batch_renorm=false"], "and must"),
        (["td3", "Pendulum-v1", "agent.model_kwargs.batch_renorm=true"], "can learn it"),
        (["redq", "Pendulum-v1", "algo.n_critics=1"], "use 1 to 1"),
        (["tqc", "Pendulum-v1", "algo.critic_kwargs.n_outputs=2"], "use 0 to 1"),
        (["sac", "Pendulum-v1", "algo.critic_kwargs.hidden=3"], "algo.critic_kwargs"),
    ],
)
def test_what_does_not_fit_is_one_line(rlpyt, words, error):
    result = rlpyt("train", *words, "--out", "run", *QUICK)
    assert error in result.error
