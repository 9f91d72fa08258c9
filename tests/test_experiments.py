"""Experiments: every one is a runner with settings that fit; the command line they share."""

import json
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from procgen_problem import is_procgen, procgen_problem

from rlpyt.algos import PEARL, SAC
from rlpyt.algos.dqn import FamilyAlgorithm, QAlgorithm
from rlpyt.algos.qpg import QpgAlgorithm
from rlpyt.data import EnvSpaces
from rlpyt.envs import AtariConfig, EnvConfig, peek_spaces
from rlpyt.envs.gym import find_spec as find_env
from rlpyt.replays import TaskReplay
from rlpyt.runners import MinibatchRl
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError

FOLDER = Path(__file__).parents[1] / "experiments"
FILES = sorted(FOLDER.glob("*_*.py"))
FILES.remove(FOLDER / "command_line.py")
FILES.remove(FOLDER / "procgen_games.py")
FILES.remove(FOLDER / "key_door_grid.py")

FAMILIES = {"dqn": QAlgorithm, "qpg": QpgAlgorithm, "rad": SAC}
CONTINUOUS = EnvSpaces(spaces.Box(-np.inf, np.inf, (11,)), spaces.Box(-1.0, 1.0, (3,)))
FRAMES = EnvSpaces(spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(6))


@contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """With ``folder`` first among the places to import from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield
    sys.modules.pop("command_line", None)
    sys.modules.pop("procgen_games", None)
    sys.modules.pop("key_door_grid", None)


@cache
def experiments_of(path: Path) -> dict[str, Callable[[], MinibatchRl]]:
    with importing_from(path.parent):
        found: dict[str, Callable[[], MinibatchRl]]
        found = runpy.run_path(str(path), run_name=path.stem)["EXPERIMENTS"]
    return found


def one_of_each_kind() -> list[tuple[str, str]]:
    """(file, name) of the first experiment for each algorithm with its settings."""
    found: dict[str, tuple[str, str]] = {}
    for path in FILES:
        for name, build in experiments_of(path).items():
            config = config_dict(build())
            key = json.dumps([path.stem, config["algo"], config["agent"]], sort_keys=True)
            found.setdefault(key, (path.stem, name))
    return list(found.values())


KINDS = one_of_each_kind()


def spaces_of(env: EnvConfig) -> EnvSpaces:
    """Of an optional package without it: MuJoCo's kind, and Atari's."""
    if env.atari is not None:
        return FRAMES
    if str(env.id).startswith("dm_control_pixels/"):
        return EnvSpaces(spaces.Box(0, 255, (9, 84, 84), np.uint8), CONTINUOUS.action)
    if is_procgen(env) and procgen_problem() is not None:
        return EnvSpaces(spaces.Box(0, 255, (3, 64, 64), np.uint8), spaces.Discrete(15))
    if "-v5" in str(env.id) or str(env.id).startswith("dm_control/"):
        return CONTINUOUS
    return peek_spaces(env)


def smaller(runner: MinibatchRl) -> MinibatchRl:
    """With a replay that no machine refuses."""
    algo = runner.algo
    if isinstance(algo, QAlgorithm | QpgAlgorithm | FamilyAlgorithm):
        algo = replace(algo, replay=replace(algo.replay, size=10_000))
    elif isinstance(algo, PEARL):
        algo = replace(algo, replay=TaskReplay(size=1_000))
    return replace(runner, algo=algo, device="cpu")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_experiments_are_configurations(path: Path) -> None:
    """Nothing optional is imported, no environment made."""
    prefix = path.stem.partition("_")[0]
    for name, build in experiments_of(path).items():
        runner = build()
        assert runner == build(), name
        assert runner.n_steps >= 20_000
        cls = type(runner.algo).__name__
        if prefix in FAMILIES:
            assert isinstance(runner.algo, FAMILIES[prefix])
        else:
            assert cls.upper() == prefix.upper()
        json.dumps(config_dict(runner), allow_nan=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_environments_exist(path: Path) -> None:
    packages = {"atari": "ale_py", "rlpyt": "ale_py", "mujoco": "mujoco", "meta": "mujoco"}
    needs = packages.get(path.stem.split("_")[1])
    if needs is not None and find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    if path.stem.endswith("_procgen") and procgen_problem() is not None:
        pytest.skip(procgen_problem())
    for build in experiments_of(path).values():
        env = EnvConfig.of(build().sampler.env)
        if isinstance(env.atari, AtariConfig):
            env.atari.check()
            assert env.vectorization == "native"
            assert find_env(str(env.id)).entry_point == "ale_py.env:AtariEnv"
        elif not str(env.id).startswith("dm_control") or find_spec("dm_control") is not None:
            peek_spaces(env)


@pytest.mark.parametrize(("stem", "name"), KINDS)
def test_settings_fit_together(stem: str, name: str) -> None:
    """Ranges, model, loss and replay, and a batch that divides into gradient steps."""
    runner = smaller(experiments_of(FOLDER / f"{stem}.py")[name]())
    env = EnvConfig.of(runner.sampler.env)
    agent, algo, spec = runner.agent, runner.algo, runner.sampler.batch_spec
    agent.initialize(spaces_of(env), seed=0, device=torch.device("cpu"))
    algo.initialize(agent, n_itr=runner.n_itr, batch_spec=spec, seed=0)
    assert algo.updates_per_itr() >= 1
    if isinstance(algo, QAlgorithm):
        assert 0 < algo.forecast(agent, spec) < 500e6
        kind = agent.model.kind
        assert (kind == "categorical") == (agent.support is not None)


def test_the_same_steps_as_the_sources() -> None:
    """Environment steps for each gradient step, and between two target networks."""
    dopamine = experiments_of(FOLDER / "dqn_atari.py")
    for name in ("Pong", "c51_Pong", "rainbow_Pong", "qrdqn_Pong", "iqn_Pong"):
        assert steps_per_update(dopamine[name]()) == 4
        assert 4 * dopamine[name]().algo.target_update_interval == 8_000
    upstream = experiments_of(FOLDER / "dqn_rlpyt.py")
    for name, build in upstream.items():
        assert steps_per_update(build()) == (960 if name.startswith("r2d1") else 16)
    assert len({name.rpartition("_")[0] for name in upstream}) == 8


def steps_per_update(runner: MinibatchRl) -> float:
    assert isinstance(runner.algo, QAlgorithm)
    learned = runner.algo.batch_size * (runner.algo.replay.sequence_length or 1)
    return learned / runner.algo.replay_ratio


def command(path: Path, *arguments: str) -> None:
    """Run an experiment's file with arguments, in this process, because imports are slow."""
    with importing_from(path.parent), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(path), *arguments])
        runpy.run_path(str(path), run_name="__main__")


def test_runs_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = FOLDER / "a2c_classic.py"
    command(path, "acrobot", "--seed", "3", "--steps", "800", "--out", "here", "algo.discount=0.9")
    params = json.loads(Path("here", "params.json").read_text())
    assert (params["seed"], params["n_steps"], params["algo"]["discount"]) == (3, 800, 0.9)
    assert params["sampler"]["env"] == "Acrobot-v1"


def test_command_line_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = FOLDER / "a2c_classic.py"
    with pytest.raises(SystemExit):
        command(path, "nothing")
    assert "invalid choice: 'nothing'" in capsys.readouterr().err
    with pytest.raises(RlpytError, match="discuont"):
        command(path, "acrobot", "algo.discuont=0.9")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("ale_py") is None, reason="ale-py is not installed")
def test_an_atari_experiment_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["algo.replay.size=2000", "algo.min_steps_learn=80", "algo.batch_size=8"]
    command(FOLDER / "dqn_atari.py", "rainbow_Pong", "--steps", "120", "--out", "run", *small)
    header, *rows = (tmp_path / "run" / "progress.csv").read_text().splitlines()
    assert "GameScoreAverage" in header
    assert rows
