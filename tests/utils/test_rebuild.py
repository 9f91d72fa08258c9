"""What config_dict writes, component_from reads again."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import pytest
import torch

from rlpyt.envs.build import EnvConfig
from rlpyt.envs.gym import make_env
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.rebuild import component_from


class Maze(gymnasium.Env):
    """An environment class of a user's."""

    class Small(gymnasium.Env):
        """One inside another class."""


def make_maze(size: int = 3) -> gymnasium.Env:
    return Maze()


def schedule(itr: int) -> float:
    return 1.0 / (1 + itr)


@dataclass(kw_only=True)
class Part:
    rate: float = 0.1
    schedule: Callable[[int], float] = schedule
    OptimCls: type[torch.optim.Optimizer] = torch.optim.Adam
    betas: tuple[float, ...] = (0.9, 0.99)


@dataclass(kw_only=True)
class Whole:
    part: Part = field(default_factory=Part)
    parts: list[Part] = field(default_factory=list)
    named: dict[str, Any] = field(default_factory=dict)
    maybe: Part | None = None
    env: EnvConfig | str | Callable[..., Any] = "CartPole-v1"


def again(component: Any) -> Any:
    """Written as JSON and read back."""
    return component_from(json.loads(json.dumps(config_dict(component))), "params.json")


@pytest.mark.parametrize(
    "whole",
    [
        Whole(),
        Whole(part=Part(rate=0.5, OptimCls=torch.optim.SGD, betas=(0.5,))),
        Whole(parts=[Part(rate=1.0), Part(rate=2.0)], maybe=Part(rate=3.0)),
        Whole(named={"inner": Part(rate=4.0), "list": [Part(rate=5.0)], "plain": {"a": [1]}}),
        Whole(env=EnvConfig(id="CartPole-v1", kwargs={"sutton_barto_reward": True}, frame_stack=2)),
    ],
)
def test_round_trip(whole: Whole):
    assert again(whole) == whole


@pytest.mark.parametrize("env", [make_maze, Maze, Maze.Small])
def test_an_environment_is_found_again_by_make_env(env):
    expected = type(make_env(env))
    assert type(make_env(again(EnvConfig(id=env)).id)) is expected
    assert type(make_env(again(Whole(env=env)).env)) is expected


@pytest.mark.parametrize("colon", [f"{__name__}:make_maze", f"{__name__}.make_maze"])
def test_a_callable_field_takes_both_forms(colon: str):
    config = {**config_dict(Part()), "schedule": colon}
    assert component_from(config, "params.json").schedule is make_maze


def test_a_partial_is_put_together_again():
    env = again(Whole(env=functools.partial(make_maze, size=5))).env
    assert (env.func, env.args, env.keywords) == (make_maze, (), {"size": 5})
    env = again(EnvConfig(id=functools.partial(gymnasium.make, "CartPole-v1"))).id
    assert make_env(env).spec.id == "CartPole-v1"
    with pytest.raises(RlpytError, match="no import can find"):
        again(Whole(env=functools.partial(lambda size: Maze(), size=5)))


def inner() -> Callable[[int], float]:
    def local(itr: int) -> float:
        return 0.0

    return local


@pytest.mark.parametrize(
    "whole", [Whole(env=lambda: Maze()), Whole(env=EnvConfig(id=inner())), Whole(env=inner())]
)
def test_lambdas_and_local_functions_are_explained(whole: Whole):
    with pytest.raises(RlpytError, match="lambda or a function inside a function") as caught:
        again(whole)
    assert "module-level function" in caught.value.hint
    assert caught.value.where.startswith("params.json: env")


def test_a_local_function_in_a_callable_field_is_explained_too():
    with pytest.raises(RlpytError, match="no import can find"):
        again(Part(schedule=lambda itr: 0.0))


def test_a_function_of_the_script_that_was_run():
    with pytest.raises(RlpytError, match="'make' was defined in the script that was run"):
        component_from({**config_dict(Whole()), "env": "__main__:make"}, "params.json")


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"class": f"{__name__}.Whole", "prt": 1}, r"Whole has no field 'prt' .*mean 'part'"),
        ({"class": f"{__name__}.Gone"}, r"cannot find the class .*Gone"),
        ({"class": f"{__name__}.make_maze"}, "is not a component"),
        ({"class": "Whole"}, "cannot find the class Whole"),
        ({}, "cannot find the class None"),
        ({"class": f"{__name__}.Part", "rate": "fast"}, "params.json: rate takes float"),
        ({"class": f"{__name__}.Part", "rate": {"class": f"{__name__}.Part"}}, "rate takes float"),
        ({"class": f"{__name__}.Whole", "part": {"class": f"{__name__}.Whole"}}, "part takes Part"),
        (
            {"class": f"{__name__}.Whole", "parts": [{"class": f"{__name__}.Part", "rte": 1}]},
            r"params.json: parts\[0\]",
        ),
    ],
)
def test_what_cannot_be_built_is_named(config: dict[str, Any], error: str):
    with pytest.raises(RlpytError, match=error) as caught:
        component_from(config, "params.json")
    assert caught.value.code == "config"
