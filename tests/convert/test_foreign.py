"""What else than parameters is known of a file: how far it had come, and its settings."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rlpyt.convert.foreign import read_foreign
from rlpyt.utils.errors import RlpytError


def saved_by_sb3(path: Path, function: type[nn.Module]) -> dict[str, torch.Tensor]:
    """Of a model that has not learned, which says that it has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from stable_baselines3 import PPO

        kwargs = {"activation_fn": function, "net_arch": [8]}
        model = PPO("MlpPolicy", "CartPole-v1", gamma=0.875, policy_kwargs=kwargs, device="cpu")
        model.num_timesteps = 1234
        model.save(path)
    state: dict[str, torch.Tensor] = model.policy.state_dict()
    return state


def test_a_zip_of_stable_baselines3_says_its_settings(tmp_path: Path) -> None:
    expected = saved_by_sb3(tmp_path / "a.zip", nn.ELU)
    found = read_foreign("sb3", tmp_path / "a.zip", run_code=False, confined=False)
    assert (found.nonlinearity, found.discount, found.cum_steps) == ("elu", 0.875, 1234)
    assert found.tensors.keys() == expected.keys()
    assert all(torch.equal(found.tensors[name], value) for name, value in expected.items())


def test_a_function_that_we_do_not_have_is_told(tmp_path: Path) -> None:
    saved_by_sb3(tmp_path / "a.zip", nn.Mish)
    with pytest.raises(RlpytError, match="activation_fn Mish has no counterpart here"):
        read_foreign("sb3", tmp_path / "a.zip", run_code=False, confined=False)


@pytest.mark.parametrize(("steps", "n_steps"), [(5678, 5678), (-3, 0), (float("nan"), 0)])
def test_a_snapshot_of_rlpyt_holds_its_optimizer_too(
    tmp_path: Path, steps: Any, n_steps: int
) -> None:
    mean, moment = torch.randn(3, 2), torch.randn(3, 2)
    snapshot = {
        "itr": 7,
        "cum_steps": steps,
        "agent_state_dict": {"model": {"pi.weight": mean}},
        "optimizer_state_dict": {"state": {0: {"exp_avg": moment}}},
    }
    torch.save(snapshot, tmp_path / "params.pkl")
    found = read_foreign("rlpyt", tmp_path / "params.pkl", run_code=False, confined=False)
    assert found.tensors.keys() == {"model/pi.weight"}
    assert torch.equal(found.tensors["model/pi.weight"], mean)
    assert found.cum_steps == n_steps
    assert (found.discount, found.nonlinearity) == (None, None)


def test_a_file_without_an_agent_is_told(tmp_path: Path) -> None:
    torch.save({"optimizer_state_dict": {"w": torch.ones(1)}}, tmp_path / "params.pkl")
    with pytest.raises(RlpytError, match="it has no agent_state_dict"):
        read_foreign("rlpyt", tmp_path / "params.pkl", run_code=False, confined=False)
