"""Environments are made from ids, ``module:callable`` and callables; mistakes have remedies."""

import sys
import types
from functools import partial
from typing import Any

import gymnasium
import pytest
from gymnasium import error
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from rlpyt.envs.gym import env_name, make_env
from rlpyt.utils.errors import RlpytError


def fails(env: Any, env_kwargs: dict[str, Any] | None = None) -> RlpytError:
    with pytest.raises(RlpytError) as caught:
        make_env(env, env_kwargs)
    assert caught.value.code == "env"
    assert caught.value.hint
    return caught.value


@pytest.fixture
def registered():
    """Register environments for one test."""
    before = dict(gymnasium.registry)
    yield gymnasium.register
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


@pytest.fixture
def toys(monkeypatch):
    """An importable module of this name, gone afterwards."""
    module = types.ModuleType("toy_environments")
    module.Pole = CartPoleEnv
    module.pole = lambda render_mode=None: CartPoleEnv(render_mode=render_mode)
    module.number = 3
    monkeypatch.setitem(sys.modules, "toy_environments", module)
    return module


def test_id_without_gymnasium_s_checker():
    env = make_env("CartPole-v1")
    assert isinstance(env, TimeLimit)
    assert isinstance(env.env, OrderEnforcing)
    assert isinstance(env.env.env, CartPoleEnv)


def test_arguments_reach_the_environment():
    kwargs = {"render_mode": "rgb_array", "max_episode_steps": 7}
    env = make_env("CartPole-v1", kwargs)
    assert env.render_mode == "rgb_array"
    assert env.spec is not None
    assert env.spec.max_episode_steps == 7
    assert kwargs == {"render_mode": "rgb_array", "max_episode_steps": 7}
    checked = make_env("CartPole-v1", {"disable_env_checker": False})
    assert isinstance(checked.env.env, PassiveEnvChecker)


@pytest.mark.parametrize("env", [CartPoleEnv, partial(CartPoleEnv), lambda **kw: CartPoleEnv(**kw)])
def test_callable(env):
    made = make_env(env, {"render_mode": "rgb_array"})
    assert isinstance(made, CartPoleEnv)
    assert made.render_mode == "rgb_array"


def test_module_and_callable(toys):
    assert isinstance(make_env("toy_environments:Pole"), CartPoleEnv)
    assert make_env("toy_environments:pole", {"render_mode": "rgb_array"}).render_mode
    assert (
        "gymnasium.envs" in type(make_env("gymnasium.envs.classic_control:CartPoleEnv")).__module__
    )


def test_module_that_registers_an_id(toys, registered):
    registered("ToyPole-v0", CartPoleEnv)
    assert isinstance(make_env("toy_environments:ToyPole-v0").unwrapped, CartPoleEnv)


def test_module_mistakes(toys):
    found = fails("toy_environmnts:Pole")
    assert "cannot import 'toy_environmnts'" in found.what
    assert "PYTHONPATH" in found.hint
    found = fails("toy_environments:pole_")
    assert "no 'pole_'" in found.what
    assert found.hint == "did you mean 'pole'?"
    assert "found 3" in fails("toy_environments:number").what
    assert "absent_module" in fails("absent_module:Id-v0").what


@pytest.mark.parametrize(
    ("env_id", "hint"),
    [
        ("CartPol-v1", "did you mean 'CartPole-v1'?"),
        ("cartpole-v1", "did you mean 'CartPole-v1'?"),
        ("CartPole-v7", "did you mean 'CartPole-v1'?"),
        ("Quux!!-v0", "pprint_registry"),
        ("Zzyzx/Wqwq-v0", "pprint_registry"),
        ("procgen-coinrun-v0", 'envpool/CoinrunHard-v0; pip install "rlpyt[envpool]"'),
        ("procgen:procgen-bigfish-v0", "envpool/BigfishHard-v0"),
        ("procgen-v0", "did you mean"),
    ],
)
def test_unknown_id(env_id, hint):
    found = fails(env_id)
    assert env_id in found.what
    assert hint in found.hint
    assert len(found.hint) < 200


def test_callable_that_returns_something_else():
    found = fails(dict)
    assert "dict returned builtins.dict, expected a gymnasium.Env" in found.what
    vector = partial(gymnasium.make_vec, "CartPole-v1", num_envs=1)
    assert "one environment" in fails(vector).hint
    old = type("Env", (), {"__module__": "gym.core"})
    assert "shimmy" in fails(type("Mine", (old,), {})).hint
    assert "an id or a callable, found <" in fails(CartPoleEnv()).what


def test_what_a_constructor_raises_comes_through():
    def broken() -> gymnasium.Env:
        raise ZeroDivisionError("in the constructor")

    with pytest.raises(ZeroDivisionError, match="in the constructor"):
        make_env(broken)
    with pytest.raises(TypeError, match="colour"):
        make_env("CartPole-v1", {"colour": "red"})


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("MuJoCo is not installed", 'pip install "rlpyt[mujoco]"'),
        ("Box2D is not installed", 'pip install "rlpyt[box2d]"'),
        ("pygame is not installed", 'pip install "rlpyt[video]"'),
        ("jax is not available", "install the package that the message names"),
    ],
)
def test_missing_dependency(registered, message, hint):
    def needs_package():
        raise error.DependencyNotInstalled(message)

    registered("NeedsPackage-v0", needs_package)
    found = fails("NeedsPackage-v0")
    assert message in found.what
    assert found.hint == hint


@pytest.mark.parametrize(
    ("env_id", "package", "extra"),
    [
        ("ALE/Pong-v5", "ale_py", "atari"),
        ("PongNoFrameskip-v4", "ale_py", "atari"),
        ("MiniGrid-Empty-5x5-v0", "minigrid", "minigrid"),
        ("BabyAI-GoToObj-v0", "minigrid", "minigrid"),
        ("HopperBulletEnv-v0", "pybullet_envs_gymnasium", "pybullet"),
    ],
)
def test_missing_suite(monkeypatch, registered, env_id, package, extra):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    found = fails(env_id)
    assert package in found.what
    assert found.hint == f'pip install "rlpyt[{extra}]"'


def test_atari_is_imported_when_asked_for(monkeypatch, registered, tmp_path):
    entry_point = "gymnasium.envs.classic_control:CartPoleEnv"
    source = f"import gymnasium\ngymnasium.register('ALE/Fake-v5', {entry_point!r})\n"
    (tmp_path / "ale_py.py").write_text(source)
    monkeypatch.delitem(sys.modules, "ale_py", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert isinstance(make_env("ALE/Fake-v5").unwrapped, CartPoleEnv)
    finally:
        sys.modules.pop("ale_py", None)


def test_an_environment_whose_module_cannot_be_imported(registered):
    registered("Elsewhere-v0", "absent_module:Thing")
    found = fails("Elsewhere-v0")
    assert "absent_module" in found.what
    assert "install the package" in found.hint


def test_env_name():
    assert env_name("CartPole-v1") == "CartPole-v1"
    assert env_name(CartPoleEnv) == "gymnasium.envs.classic_control.cartpole:CartPoleEnv"
    assert env_name(partial(CartPoleEnv)).endswith("partial")


def test_the_mission_of_minigrid_is_left_out():
    pytest.importorskip("minigrid", reason="the optional package minigrid is not installed")
    env = make_env("MiniGrid-Empty-5x5-v0")
    assert set(env.observation_space.spaces) == {"direction", "image"}
    observation, _info = env.reset(seed=0)
    assert set(observation) == {"direction", "image"}
    env.close()
