import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
import pytest
import torch

from rlpyt.utils.config import config_dict, flatten_config
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides, apply_values


class Mode(Enum):
    FAST = 1
    EXACT = 2


@dataclass(kw_only=True)
class Algo:
    learning_rate: float = 1e-4
    epochs: int = 4
    clip: float | None = 0.5
    kind: Literal["gae", "n-step"] = "gae"
    maybe_kind: Literal["gae", "n-step"] | None = None
    OptimCls: type[torch.optim.Optimizer] = torch.optim.Adam
    optim_kwargs: dict[str, float] | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    normalize: bool = True
    secret: int = field(default=3, metadata={"config": False})
    built: int = field(init=False, default=0)


@dataclass(kw_only=True)
class Agent:
    model_kwargs: dict[str, Any] = field(
        default_factory=lambda: {"hidden_sizes": (32,), "deep": {"a": 1}}
    )
    known_kwargs: dict[str, int] = field(
        default_factory=dict, metadata={"keys": ["width", "depth"]}
    )


@dataclass(kw_only=True)
class Sampler:
    env: str | Callable[..., gymnasium.Env[Any, Any]] = "CartPole-v1"
    batch_T: int = 32
    layers: tuple[int, ...] = ()
    names: Sequence[str] = ()
    folder: Path = Path("data")
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    mode: Mode = Mode.FAST
    title: str = "x"
    note: str | None = None
    limit: int | float = 1


@dataclass(kw_only=True)
class Window:
    size: int  # no default
    step: int = 1


class Schedule(ABC):
    @abstractmethod
    def __call__(self, steps: int) -> float: ...


class Linear(Schedule):
    def __call__(self, steps: int) -> float:
        return float(steps)


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """Checks one field against another."""

    ScheduleCls: type[Schedule] = Linear
    schedule: str = "constant"
    steps: int = 0

    def __post_init__(self) -> None:
        if self.schedule == "linear" and self.steps <= 0:
            raise RlpytError("config", f"steps={self.steps}")


@dataclass(kw_only=True)
class Runner:
    explorer: Explorer = field(default_factory=Explorer)
    algo: Algo = field(default_factory=Algo)
    agent: Agent = field(default_factory=Agent)
    sampler: Sampler = field(default_factory=Sampler)
    evaluator: Algo | None = None
    window: Window | None = None
    n_steps: int = 1000


def set_one(override: str) -> Runner:
    return apply_overrides(Runner(), [override])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("evaluator={}", Algo()),
        ("evaluator.epochs=3", Algo(epochs=3)),
        ('evaluator={"epochs": 3}', Algo(epochs=3)),
        (f'evaluator={{"class": "{__name__}.Algo", "epochs": 3}}', Algo(epochs=3)),
    ],
)
def test_a_component_that_is_none_begins_with_its_defaults(override: str, expected: Algo):
    assert set_one(override).evaluator == expected


@pytest.mark.parametrize("order", [1, -1])
def test_fields_that_are_checked_against_each_other_come_in_any_order(order: int):
    overrides = ["explorer.schedule=linear", "explorer.steps=5"][::order]
    assert apply_overrides(Runner(), overrides).explorer == Explorer(schedule="linear", steps=5)
    values = {"explorer.schedule": "linear", "explorer.steps": 5}
    changed = apply_values(Runner(), dict(list(values.items())[::order]))
    assert changed.explorer == Explorer(schedule="linear", steps=5)
    with pytest.raises(RlpytError, match="steps=0"):
        set_one("explorer.schedule=linear")


def test_a_class_goes_by_its_name_where_it_is_known_of_which_it_is_one():
    assert set_one("algo.OptimCls=RMSprop").algo.OptimCls is torch.optim.RMSprop
    assert set_one("explorer.ScheduleCls=Linear").explorer.ScheduleCls is Linear


def test_paths_into_a_component_in_a_dict_and_into_dicts_that_are_not_there_yet():
    runner = Runner(agent=Agent(model_kwargs={"inner": Explorer()}))
    overrides = ["agent.model_kwargs.inner.schedule=linear", "agent.model_kwargs.inner.steps=5"]
    changed = apply_overrides(runner, [*overrides, "agent.model_kwargs.new.deep.a=1"])
    linear = Explorer(schedule="linear", steps=5)
    assert changed.agent.model_kwargs == {"inner": linear, "new": {"deep": {"a": 1}}}
    assert runner.agent.model_kwargs == {"inner": Explorer()}


def test_config_dict_is_complete_and_plain_json():
    config = config_dict(Runner())
    assert config["class"] == f"{__name__}.Runner"
    assert config["algo"] == {
        "class": f"{__name__}.Algo",
        "learning_rate": 1e-4,
        "epochs": 4,
        "clip": 0.5,
        "kind": "gae",
        "maybe_kind": None,
        "OptimCls": "torch.optim.adam.Adam",
        "optim_kwargs": None,
        "betas": [0.9, 0.999],
        "normalize": True,
    }
    assert config["sampler"]["folder"] == "data"
    assert config["sampler"]["device"] == "cpu"
    assert config["sampler"]["mode"] == "FAST"
    assert config["evaluator"] is None
    assert json.loads(json.dumps(config, allow_nan=False)) == config


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.arange(3), [0, 1, 2]),
        (torch.ones(2), [1.0, 1.0]),
        (float("inf"), "inf"),
        (torch.float32, "torch.float32"),
        (gymnasium.make, "gymnasium.envs.registration:make"),
        (len, "builtins:len"),
        (gymnasium.Wrapper, "gymnasium.core:Wrapper"),
        (gymnasium.spaces.Discrete(3), "Discrete(3)"),
        ({"b", "a"}, ["a", "b"]),
        (Algo, f"{__name__}.Algo"),
        (object(), "builtins.object"),
        (functools.partial(len, 1), {"function": "builtins:len", "args": [1], "kwargs": {}}),
    ],
)
def test_config_dict_of_awkward_values(value: Any, expected: Any):
    config = config_dict(Agent(model_kwargs={"v": (value,)}))
    assert config["model_kwargs"]["v"] == [expected]
    json.dumps(config, allow_nan=False)


def test_flatten():
    assert flatten_config({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {
        "a.b.c": 1,
        "a.d": {},
        "e": [1],
    }


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("algo.learning_rate=1e-3", 1e-3),
        ("algo.learning_rate= 1", 1.0),
        ("algo.learning_rate=inf", float("inf")),
        ("n_steps=100_000", 100_000),
        ("n_steps=1e6", 1_000_000),
        ("algo.clip=none", None),
        ("algo.clip=null", None),
        ("algo.clip=2", 2.0),
        ("algo.normalize=False", False),
        ("algo.normalize=true", True),
        ("algo.kind=n-step", "n-step"),
        ("algo.maybe_kind=n-step", "n-step"),
        ("algo.betas=[0, 1]", (0.0, 1.0)),
        ("algo.OptimCls=torch.optim.RMSprop", torch.optim.RMSprop),
        ('algo.optim_kwargs={"eps": 1}', {"eps": 1.0}),
        ("algo.optim_kwargs.eps=1", {"eps": 1.0}),
        ("sampler.layers=[64,64]", (64, 64)),
        ('sampler.names=["a", "b"]', ("a", "b")),
        ("sampler.folder=x/y", Path("x/y")),
        ("sampler.device=cuda:1", torch.device("cuda:1")),
        ("sampler.mode=EXACT", Mode.EXACT),
        ("sampler.env=Acrobot-v1", "Acrobot-v1"),
        ("sampler.title=1e3", "1e3"),
        ("sampler.title=nan", "nan"),
        ('sampler.title="a=b"', "a=b"),
        ("sampler.title=a=b", "a=b"),
        ("sampler.title=", ""),
        ("sampler.note=none", None),
        ("sampler.note=12", "12"),
        ("sampler.limit=0.5", 0.5),
        ("evaluator=null", None),
        ("agent.model_kwargs.hidden_sizes=[64, 64]", {"hidden_sizes": (64, 64), "deep": {"a": 1}}),
        ("agent.model_kwargs.new=true", {"hidden_sizes": (32,), "deep": {"a": 1}, "new": True}),
        ("agent.model_kwargs.deep.a=2", {"hidden_sizes": (32,), "deep": {"a": 2}}),
        ("agent.known_kwargs.width=5", {"width": 5}),
    ],
)
def test_override_is_parsed_checked_and_converted(override: str, expected: Any):
    changed: Any = set_one(override)
    path = override.partition("=")[0].split(".")
    while path and not isinstance(changed, dict):
        changed = getattr(changed, path.pop(0))
    assert changed == expected
    assert type(changed) is type(expected)


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("algo.lerning_rate=1", ["algo.lerning_rate", "did you mean 'learning_rate'?"]),
        ("algoo.learning_rate=1", ["algoo.learning_rate", "did you mean 'algo'?"]),
        ("algo.secret=1", ["no field 'secret'"]),
        ("algo.built=1", ["no field 'built'"]),
        ("algo.learning_rate=abc", ["algo.learning_rate takes float, not 'abc' (str)"]),
        ("algo.learning_rate=nan", ["algo.learning_rate takes float, not nan"]),
        ("algo.learning_rate=true", ["takes float, not True (bool)"]),
        ("algo.clip=nan", ["algo.clip takes float | None, not nan"]),
        ("agent.model_kwargs.scale=nan", ["agent.model_kwargs.scale = nan"]),
        ("agent.model_kwargs.scale=[NaN]", ["NaN is not a number"]),
        ("algo.learning_rate=none", ["takes float, not None"]),
        ("algo.epochs=1.5", ["algo.epochs takes int, not 1.5"]),
        ("algo.epochs=inf", ["algo.epochs takes int, not inf"]),
        ("algo.normalize=1", ["takes bool, not 1"]),
        ("algo.kind=gea", ["'gea' is none of 'gae', 'n-step'", "did you mean 'gae'?"]),
        ("algo.maybe_kind=gea", ["algo.maybe_kind", "did you mean 'gae'?"]),
        ("algo.betas=[1]", ["algo.betas", "give 2 items"]),
        ("algo.betas=[1, true]", ["algo.betas[1] takes float"]),
        ("algo.betas=[1, 2", ["is not JSON"]),
        ('algo.optim_kwargs={"a": 1, "a": 2}', ["key 'a' appears twice"]),
        ("algo.optim_kwargs.eps=abc", ["algo.optim_kwargs.eps takes float"]),
        ("algo.OptimCls=torch.optim.RMSpropp", ["did you mean 'RMSprop'?"]),
        ("algo.OptimCls=torch.nn.Linear", ["no subclass of Optimizer"]),
        ("algo.OptimCls=nowhere.at.all", ["nowhere"]),
        ("algo.OptimCls=a b", ["is no dotted path"]),
        ("sampler.device=gpu", ["sampler.device takes device", "rlpyt devices"]),
        ("sampler.mode=exact", ["known: EXACT, FAST"]),
        ("sampler.layers=64", ["write a list"]),
        ("agent.known_kwargs.widht=5", ["did you mean 'width'?"]),
        (
            "algo.optim_kwargs.eps.y=5",
            ["algo.optim_kwargs.eps.y: 'eps' takes float, with nothing inside"],
        ),
        ("agent.model_kwargs.hidden_sizes.y=5", ["nothing inside"]),
        ("n_steps.x=1", ["n_steps (int, now 1000) has nothing inside"]),
        ("window.step=3", ["Window | None, now None) has nothing inside"]),
        ("evaluator.epoch=3", ["evaluator.epoch: Algo has no field 'epoch'", "epochs"]),
        ("batch_T=3", ["no field 'batch_T'", "did you mean sampler.batch_T?"]),
        ("env.id=x", ["no field 'env'", "did you mean sampler.env?"]),
        ("epochs=3", ["did you mean algo.epochs or evaluator.epochs?"]),
        ("algo.batch_T=3", ["algo.batch_T: Algo has no field 'batch_T'", "known: "]),
        ("algo=ppo", ["algo takes Algo", "algo.learning_rate"]),
        ("evaluator=ppo", ["evaluator takes", "set a field: evaluator.learning_rate"]),
        ('evaluator={"epoch": 3}', ["Algo has no field 'epoch' (evaluator)", "'epochs'"]),
        ('evaluator={"epochs": "x"}', ["evaluator.epochs takes int, not 'x'"]),
        ('window={"step": 2}', ["Window needs size (window)", "give window.size"]),
        ('evaluator={"class": "torch.optim.Adam"}', ["evaluator takes Algo", '"class"']),
        ("algo.OptimCls=Adamm", ["no such class", "did you mean 'Adam'?", "dotted path"]),
        ("explorer.ScheduleCls=Schedule", ["it is abstract: choose one of Linear"]),
        ("algo.learning_rate", ["malformed override", "path=value"]),
        ("=1", ["malformed override"]),
        ("algo..epochs=1", ["malformed override"]),
    ],
)
def test_a_wrong_override_is_one_line_with_place_and_remedy(override: str, fragments: list[str]):
    with pytest.raises(RlpytError) as caught:
        set_one(override)
    message = str(caught.value)
    assert caught.value.code == "config"
    assert "\n" not in message
    assert len(message) < 600
    for fragment in fragments:
        assert fragment in message


def test_deep_nesting_is_refused_in_one_short_line():
    with pytest.raises(RlpytError, match="is not JSON") as caught:
        set_one("algo.optim_kwargs=" + "[" * 100_000)
    assert len(str(caught.value)) < 400


def test_the_original_is_left_alone_and_the_last_override_wins():
    runner = Runner()
    before = config_dict(runner)
    changed = apply_overrides(
        runner, ["algo.epochs=5", "algo.epochs=6", "agent.model_kwargs.deep.a=9"]
    )
    assert config_dict(runner) == before
    assert changed.algo.epochs == 6
    assert changed.sampler is runner.sampler


def test_values_that_are_data_already():
    changed = apply_values(
        Runner(), {"algo.learning_rate": 1, "sampler.layers": [1, 2], "sampler.title": "7"}
    )
    assert changed.algo.learning_rate == 1.0
    assert changed.sampler.layers == (1, 2)
    with pytest.raises(RlpytError, match=r"sampler\.title takes str, not 7"):
        apply_values(Runner(), {"sampler.title": 7})
    with pytest.raises(RlpytError, match="malformed path"):
        apply_values(Runner(), {"sampler.": 7})
    evaluator = Algo(epochs=9)
    assert apply_values(Runner(), {"evaluator": evaluator}).evaluator is evaluator


def test_config_survives_its_own_data():
    runner = apply_overrides(
        Runner(), ["sampler.mode=EXACT", "sampler.layers=[1]", "algo.clip=null"]
    )
    flat = flatten_config(config_dict(runner))
    values = {path: value for path, value in flat.items() if path.rpartition(".")[2] != "class"}
    assert apply_values(Runner(), values) == runner
