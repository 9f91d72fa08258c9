"""``rlpyt convert``, from a file to a run that other commands take."""

import argparse
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.cli.init_from import with_init
from rlpyt.cli.rundir import load_runner
from rlpyt.logging.run_state import read_run_state
from rlpyt.runners.init_from import read_origin
from rlpyt.utils.world import World

sys.path.append(str(Path(__file__).parents[1] / "convert"))  # pytest adds the folders it collects

from payloads import save_payload


def cleanrl_file(path: Path) -> dict[str, torch.Tensor]:
    """An agent of CleanRL's ppo.py for CartPole."""
    tensors = {}
    for name, size in (("actor", 2), ("critic", 1)):
        layers = [nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, size)]
        module = nn.Sequential(*layers)
        tensors |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
    torch.save(tensors, path)
    return tensors


def test_a_converted_run_is_evaluated_and_started_from(rlpyt, tmp_path: Path) -> None:
    tensors = cleanrl_file(tmp_path / "ppo.cleanrl_model")
    words = ["convert", "cleanrl", "ppo.cleanrl_model", "CartPole-v1", "--no-sandbox"]
    # With the sandbox, where there is one, the conversion is tests/convert's; here, what follows.
    result = rlpyt(*words, "--out", "run", "algo.discount=0.9")
    assert result.code == 0, result.err
    run_dir = tmp_path / "run"
    assert read_run_state(run_dir) == "converted"
    assert rlpyt("eval", run_dir, "--episodes", "2").code == 0
    assert len(rlpyt("hash", run_dir).out.strip()) == 64
    runner = load_runner(run_dir)
    assert runner.algo.discount == 0.9
    options = argparse.Namespace(init_from=run_dir, init_part=None, init_checkpoint=None)
    origin = read_origin(with_init(runner, options).init_from, World())
    assert origin is not None
    assert origin.lineage["init_from"]["converted_from"] == "cleanrl"
    runner.agent.initialize(runner.sampler.env_spaces(), seed=1, device=torch.device("cpu"))
    origin.load_into(runner.agent)
    assert torch.equal(
        runner.agent.state_dict()["model"]["policy.output.weight"], tensors["actor.4.weight"]
    )
    assert "holds parameters alone" in rlpyt("resume", run_dir).error
    assert "already holds a run" in rlpyt(*words, "--out", "run").error


def test_critics_are_kept_in_the_checkpoint(rlpyt, tmp_path: Path) -> None:
    """Of DDPG's params.pkl of rlpyt 0.1."""
    tensors = {}
    for name, n_in in (("model", 2), ("q_model", 3)):
        for place, (size, n_out) in enumerate(((n_in, 8), (8, 8), (8, 1))):
            layer = nn.Linear(size, n_out)
            for key, tensor in layer.state_dict().items():
                tensors[f"{name}/mlp.model.{2 * place}.{key}"] = tensor
    nested = {name: {} for name in ("model", "q_model")}
    for name, tensor in tensors.items():
        module, _, key = name.partition("/")
        nested[module][key] = tensor
    torch.save({"cum_steps": 77, "agent_state_dict": nested}, tmp_path / "params.pkl")
    words = ["convert", "rlpyt", "params.pkl", "MountainCarContinuous-v0", "--no-sandbox"]
    result = rlpyt(*words, "--out", "run")
    assert result.code == 0, result.err
    state, manifest = Checkpointer(tmp_path / "run" / "checkpoints").load_latest()
    assert manifest.cum_steps == 77
    found = state["critic"]["networks.hidden.0.weight"]  # [critics, in, out]
    assert torch.equal(found, tensors["q_model/mlp.model.0.weight"].t()[None])


def test_what_does_not_fit_leaves_nothing(rlpyt, tmp_path: Path) -> None:
    cleanrl_file(tmp_path / "a")
    words = ["convert", "cleanrl", "a", "--no-sandbox", "Acrobot-v1", "--out", "run"]
    assert "(64, 4) does not fit" in rlpyt(*words).error
    assert not (tmp_path / "run").exists()


@pytest.mark.faults("F37", "F38")
def test_a_zip_of_stable_baselines3_that_would_do_harm(rlpyt, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    save_payload(tmp_path / "policy.pth", f"open({str(canary)!r}, 'w')", w=torch.ones(1))
    before = {each.name for each in tmp_path.iterdir()}
    for name, what in (("policy.pth", "pickle is not a supported format"), ("../x", "leads out")):
        with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
            archive.write(tmp_path / "policy.pth", name)
        words = ["convert", "sb3", "model.zip", "CartPole-v1", "--no-sandbox", "--out", "run"]
        assert what in rlpyt(*words).error
    assert {each.name for each in tmp_path.iterdir()} == before | {"model.zip"}
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("data", "{}")
    assert "it holds no policy.pth" in rlpyt(*words).error
