"""Stand-ins for the packages wandb, mlflow and trackio, that keep what they are told."""

import sys
import threading
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@dataclass
class Told:
    """What a fake service has heard, over all runs of a test."""

    begun: list[dict[str, Any]] = field(default_factory=list)
    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    ended: list[Any] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    fail_at: int | None = None  # step
    fail_to_begin: bool = False
    hang_at: int | None = None  # step
    released: threading.Event = field(default_factory=threading.Event)
    threads: set[threading.Thread] = field(default_factory=set)

    def begin(self, **options: Any) -> None:
        self.threads.add(threading.current_thread())
        if self.fail_to_begin:
            raise ConnectionRefusedError("no route to the service\nat all")
        self.begun.append(options)

    def row(self, values: dict[str, float], step: int) -> None:
        if step == self.fail_at:
            raise ValueError("quota exceeded")
        if step == self.hang_at:
            self.released.wait()
        self.rows.append((step, values))

    def let_go(self) -> None:
        """Release the thread that hangs: of a sink that is closed it ends then."""
        self.released.set()
        for thread in self.threads - {threading.current_thread()}:
            thread.join(5.0)
            assert not thread.is_alive()

    @property
    def steps(self) -> list[int]:
        return [step for step, _ in self.rows]


def fake_wandb(told: Told) -> ModuleType:
    def init(**options: Any) -> Any:
        told.begin(**options)
        return SimpleNamespace(
            config=SimpleNamespace(update=lambda new, allow_val_change: told.settings.update(new)),
            log=lambda values, step: told.row(values, step),
            finish=lambda exit_code: told.ended.append(exit_code),
        )

    module: Any = ModuleType("wandb")
    module.init, module.Settings = init, lambda **options: options
    return module


def fake_mlflow(told: Told) -> ModuleType:
    class Error(Exception):
        pass

    class Client:
        def get_experiment_by_name(self, name: str) -> Any:
            return None

        def create_experiment(self, name: str) -> str:
            told.settings["experiment"] = name
            return "7"

        def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
            told.begin(experiment=experiment, name=run_name, tags=tags)
            return SimpleNamespace(info=SimpleNamespace(run_id="mlflow-id"))

        def update_run(self, run_id: str, status: str) -> None:
            told.begin(id=run_id, status=status)

        def log_batch(self, run_id: str, params: Any = (), metrics: Any = ()) -> None:
            assert run_id == "mlflow-id"
            assert len(params) <= 100
            told.settings.update(params)
            if metrics:
                told.row({key: value for key, value, _, _ in metrics}, metrics[0][3])

        def set_terminated(self, run_id: str, status: str) -> None:
            told.ended.append(status)

    module: Any = ModuleType("mlflow")
    module.MlflowClient, module.MlflowException = Client, Error
    module.entities = SimpleNamespace(
        Param=lambda key, value: (key, value), Metric=lambda *values: values
    )
    return module


def fake_trackio(told: Told) -> ModuleType:
    def init(**options: Any) -> Any:
        told.begin(**options)
        told.settings.update(options["config"])
        return SimpleNamespace(
            log=lambda values, step: told.row(values, step), finish=lambda: told.ended.append(None)
        )

    module: Any = ModuleType("trackio")
    module.init = init
    return module


FAKES = {"wandb": fake_wandb, "mlflow": fake_mlflow, "trackio": fake_trackio}


def install(name: str, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Let ``import name`` give the fake, for the time of a test."""
    told = Told()
    monkeypatch.setitem(sys.modules, name, FAKES[name](told))
    return told
