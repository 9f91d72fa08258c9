"""A run that starts with another's parameters: what is taken, what is new, what does not fit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import Env, spaces
from gymnasium.wrappers import TransformAction, TransformObservation
from runner_fakes import assert_same_run, small_runner, train

from rlpyt.agents import PgAgent
from rlpyt.algos import A2C
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.tree import flatten
from rlpyt.cli.main import main
from rlpyt.envs import EnvConfig, FourRooms
from rlpyt.logging.provenance import read_sessions
from rlpyt.runners import InitFrom, MinibatchRl, SyncRl
from rlpyt.runners.init_from import read_origin
from rlpyt.samplers import SerialSampler
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World


def two_actions(size: int = 6) -> Env[Any, Any]:
    """Four rooms, of whose actions two are left: right and down."""
    env = FourRooms(image=True, size=size)
    return TransformAction(env, lambda action: action + 1, spaces.Discrete(2))


def image_and_number() -> Env[Any, Any]:
    """Four rooms as an image, with the number of walls seen: vectors are normalised."""
    env = FourRooms(image=True, size=6)
    number = spaces.Box(0, 36, (1,), np.float32)
    return TransformObservation(
        env,
        lambda image: {"image": image, "number": np.float32([np.count_nonzero(image)])},
        spaces.Dict({"image": env.observation_space, "number": number}),
    )


def image_runner(env: Any = FourRooms, **model: Any) -> MinibatchRl:
    """Two iterations of A2C on images."""
    kwargs = {"image": True, "size": 6} if env is FourRooms else {}
    sampler = SerialSampler(env=EnvConfig(id=env, kwargs=kwargs), batch_T=5, batch_B=2)
    agent = PgAgent(model_kwargs={"hidden_sizes": [8], **model})
    return MinibatchRl(algo=A2C(), agent=agent, sampler=sampler, n_steps=20, keep_checkpoints=9)


def saved(run_dir: Path, itr: int | None = None) -> dict[str, Any]:
    """The run's checkpoint after ``itr`` iterations, the newest by default."""
    checkpoints = Checkpointer(run_dir / "checkpoints")
    found = checkpoints.saved()
    state: dict[str, Any] = checkpoints.load(found[max(found) if itr is None else itr])[0]
    return state


def tensors(state: Any) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(array) for name, array in flatten(state)[0].items()}


def same(one: Any, other: Any) -> bool:
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(small_runner(n_itr=4, keep_checkpoints=9), tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def image_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(image_runner(), tmp_path_factory.mktemp("images"))


def started(source: Path, **settings: Any) -> MinibatchRl:
    init = InitFrom(run_dir=str(source), **settings)
    return small_runner(n_itr=4, seed=1, keep_checkpoints=9, init_from=init)


def test_the_agent_is_the_others_and_all_else_is_new(source: Path, tmp_path: Path) -> None:
    run_dir = train(started(source), tmp_path / "one")
    plain = train(replace(started(source), init_from=None), tmp_path / "plain")
    begun, new = saved(run_dir, 0), saved(plain, 0)
    assert same(begun["agent"], saved(source)["agent"])
    assert not same(begun["agent"], new["agent"])
    for part in ("algo", "sampler", "records"):
        assert same(begun[part], new[part])
    assert begun["itr"] == 0
    assert not same(saved(run_dir)["agent"], begun["agent"])  # and it learns on


def test_the_first_batch_is_sampled_with_them(source: Path, tmp_path: Path) -> None:
    """With the same seed and a learning rate of nearly nothing: as if never interrupted."""
    runner = started(source)
    algo = replace(runner.algo, learning_rate=1e-30, learning_rate_schedule="constant")
    run_dir = train(replace(runner, algo=algo), tmp_path)
    before, after = tensors(saved(source)["agent"]), tensors(saved(run_dir)["agent"])
    weights = [name for name in before if "normalizer" not in name]
    assert weights
    assert all(torch.equal(before[name], after[name]) for name in weights)


def test_the_best_checkpoint_on_request(source: Path, tmp_path: Path) -> None:
    best = Checkpointer(source / "checkpoints").best()
    assert best is not None
    run_dir = train(started(source, checkpoint="best"), tmp_path)
    assert same(saved(run_dir, 0)["agent"], Checkpointer(source).load(best)[0]["agent"])


def test_its_provenance_names_run_checkpoint_and_what_that_came_from(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(started(source), tmp_path / "first")
    second = train(started(first), tmp_path / "second")
    lineage = read_sessions(second)[0]["init_from"]
    assert main(["hash", str(first)]) == 0
    assert lineage["sha256"] == capsys.readouterr().out.strip()
    assert lineage["run_dir"] == str(first.resolve())
    assert (lineage["itr"], lineage["cum_steps"], lineage["part"]) == (4, 256, "agent")
    assert lineage["init_from"]["run_dir"] == str(source.resolve())
    assert lineage["init_from"]["init_from"] is None
    assert f"starts with the agent of {first.resolve()}" in (second / "debug.log").read_text()
    assert "init_from" not in read_sessions(source)[0]


def test_a_resumed_run_does_not_load_them_again(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "source"
    shutil.copytree(source, copy)
    whole = train(started(copy), tmp_path / "whole")
    train(replace(started(copy), pause_steps=128), tmp_path / "parts")
    shutil.rmtree(copy)  # not even looked at
    parts = train(started(copy), tmp_path / "parts", resume=True)
    assert_same_run(whole, parts)
    sessions = read_sessions(parts)
    assert ["init_from" in session for session in sessions] == [True, False]


def test_a_run_that_never_was_saved_starts_with_them_anew(source: Path, tmp_path: Path) -> None:
    run_dir = train(started(source), tmp_path)
    shutil.rmtree(run_dir / "checkpoints")
    assert main(["resume", str(run_dir), "--quiet", "--no-plot", "--no-tensorboard"]) == 0
    assert same(saved(run_dir, 0)["agent"], saved(source)["agent"])


def test_what_does_not_fit_is_told_with_both_shapes(source: Path, tmp_path: Path) -> None:
    runner = started(source)
    runner.agent = PgAgent(model_kwargs={"hidden_sizes": [9, 8], "normalize_observation": True})
    with pytest.raises(RlpytError, match=r"^ERROR config: \d+ parameters do not fit: ") as caught:
        train(runner, tmp_path)
    told = str(caught.value)
    assert "\n" not in told
    assert "model/policy.hidden.0.bias (8,) there, (9,) here" in told
    assert "more" in told
    assert "model/normalizer" not in told
    assert "--init-part" not in told  # of plain vectors there is no encoder
    assert str(source.resolve()) in told


def test_a_parameter_too_many_is_told_as_none(source: Path, tmp_path: Path) -> None:
    runner = started(source)
    runner.agent = PgAgent(
        model_kwargs={
            "hidden_sizes": [8],
            "normalize_observation": True,
            "intrinsic_value": True,
        }
    )
    with pytest.raises(RlpytError, match=r"none there, \(1,\) here"):
        train(runner, tmp_path)


def test_an_encoder_goes_to_other_actions(image_source: Path, tmp_path: Path) -> None:
    init = InitFrom(run_dir=str(image_source), part="encoder")
    match = r"policy\.output\.weight.*--init-part encoder"
    with pytest.raises(RlpytError, match=match):
        train(replace(image_runner(two_actions), init_from=replace(init, part="agent")), tmp_path)
    run_dir = train(replace(image_runner(two_actions), init_from=init), tmp_path / "encoder")
    plain = train(image_runner(two_actions), tmp_path / "plain")
    there, here, new = (
        tensors(saved(path, itr)["agent"])
        for path, itr in ((image_source, None), (run_dir, 0), (plain, 0))
    )
    encoder = {name for name in here if ".encoder." in name or "/encoder." in name}
    assert len(encoder) >= 4
    assert all(torch.equal(here[name], there[name]) for name in encoder)
    assert not any(torch.equal(new[name], there[name]) for name in encoder if "weight" in name)
    assert all(torch.equal(here[name], new[name]) for name in here.keys() - encoder)
    assert here.keys() - encoder


def test_an_encoder_that_does_not_fit(image_source: Path, tmp_path: Path) -> None:
    init = InitFrom(run_dir=str(image_source), part="encoder")
    larger = EnvConfig(id=FourRooms, kwargs={"image": True, "size": 8})
    runner = replace(image_runner(), init_from=init)
    runner.sampler = replace(runner.sampler, env=larger)
    with pytest.raises(RlpytError, match=r"not fit.*encoder.*\(128, \d+\)") as caught:
        train(runner, tmp_path)
    assert "policy" not in str(caught.value)
    assert "--init-part" not in str(caught.value)


def test_where_there_is_no_encoder_to_take(
    source: Path, image_source: Path, tmp_path: Path
) -> None:
    with pytest.raises(RlpytError, match="the agent of that run has no encoder") as caught:
        train(started(source, part="encoder"), tmp_path / "vector")
    assert "plain vectors" in str(caught.value)
    init = InitFrom(run_dir=str(image_source), part="encoder")
    with pytest.raises(RlpytError, match="the agent has no encoder"):
        train(replace(small_runner(), init_from=init), tmp_path / "images")


def test_an_encoder_is_nothing_without_its_normaliser(tmp_path: Path) -> None:
    plain = image_runner(image_and_number)
    normal = image_runner(image_and_number, normalize_observation=True)
    sources = [train(one, tmp_path / f"source{i}") for i, one in enumerate((plain, normal))]
    inits = [InitFrom(run_dir=str(run_dir), part="encoder") for run_dir in sources]
    with pytest.raises(RlpytError, match="this normalises observations, that run does not"):
        train(replace(normal, init_from=inits[0]), tmp_path / "one")
    with pytest.raises(RlpytError, match="that run normalises observations, this does not"):
        train(replace(plain, init_from=inits[1]), tmp_path / "two")
    run_dir = train(replace(normal, init_from=inits[1]), tmp_path / "three")
    there, here = tensors(saved(sources[1])["agent"]), tensors(saved(run_dir, 0)["agent"])
    names = [name for name in there if "normalizer" in name]
    assert names
    assert all(torch.equal(here[name], there[name]) for name in names)


def test_a_directory_without_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RlpytError, match="there is no checkpoint"):
        train(started(tmp_path / "nowhere"), tmp_path)


def test_ranks_that_read_different_checkpoints_are_told(source: Path) -> None:
    class Other(World):
        def gather(self, value: Any) -> list[Any]:
            return [value, {**value, "itr": value["itr"] + 1}]

    with pytest.raises(RlpytError, match=r"rank 1 has read iteration 5 of .*, rank 0 iteration 4"):
        read_origin(InitFrom(run_dir=str(source)), Other())


@pytest.mark.slow
def test_all_ranks_start_with_them(source: Path, tmp_path: Path) -> None:
    one = started(source)
    common = {name: getattr(one, name) for name in ("algo", "agent", "sampler", "init_from")}
    run_dir = train(SyncRl(**common, n_steps=128, world_size=2, keep_checkpoints=9), tmp_path)
    assert same(saved(run_dir, 0)["agent"], saved(source)["agent"])


WORDS = ["ppo", "CartPole-v1", "--steps", "256", "sampler.batch_T=16", "algo.minibatches=2"]
QUIET = ["--quiet", "--no-plot", "--no-tensorboard"]


def test_what_curiosity_alone_has_taught_is_fine_tuned_by_rewards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    curious = ["algo.intrinsic={}", "algo.intrinsic.extrinsic_weight=0"]
    assert main(["train", *WORDS, "--out", "curious", *QUIET, *curious]) == 0
    assert main(["train", *WORDS, "--out", "plain", *QUIET]) == 0
    assert main(["train", *WORDS, "--out", "tuned", *QUIET, "--init-from", "curious"]) == 0
    before, after, other = (
        saved(tmp_path / name)["agent"]["model"] for name in ("curious", "tuned", "plain")
    )
    for there in (before, other):
        assert any(not np.array_equal(after[name], there[name]) for name in after)
    params = json.loads((tmp_path / "tuned" / "params.json").read_text())
    assert params["init_from"]["run_dir"] == str(tmp_path / "curious")


def test_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *WORDS, "--out", "first", *QUIET]) == 0
    init = ["--init-from", "first"]
    assert main(["train", *WORDS, *init, "--seed", "1", "--out", "second", *QUIET]) == 0
    params = json.loads((tmp_path / "second" / "params.json").read_text())
    assert params["init_from"]["run_dir"] == str(tmp_path / "first")
    assert read_sessions(tmp_path / "second")[0]["init_from"]["part"] == "agent"
    assert main(["train", *WORDS, *init, "--out", "third", *QUIET, "algo.epochs=1"]) == 0
    capsys.readouterr()
    for words, message in (
        (["--init-from", "nowhere"], "there is no directory"),
        (["--init-part", "encoder"], "--init-part without --init-from"),
        (["--init-checkpoint", "best"], "--init-checkpoint without --init-from"),
    ):
        assert main(["train", *WORDS, *words, "--out", "fourth", *QUIET]) == 2
        assert message in capsys.readouterr().err
    assert main(["train", *WORDS, *init, "--init-part", "encoder", "--out", "fifth", *QUIET]) != 0
    assert "no encoder" in capsys.readouterr().err
    assert not (tmp_path / "fourth").exists()
    assert not (tmp_path / "fifth").exists()
