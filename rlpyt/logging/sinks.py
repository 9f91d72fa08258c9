"""The services that a run can be sent to, by name."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import NamedTuple

from rlpyt.logging.mlflow_sink import MlflowService
from rlpyt.logging.remote import RemoteSink, RunLabel, Service, SinkRecords
from rlpyt.logging.trackio_sink import TrackioService
from rlpyt.logging.wandb_sink import WandbService
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["SINKS", "SinkMaker", "check_sinks", "remote_sinks"]


class SinkMaker(NamedTuple):
    """A service's package, which is its extra in rlpyt too, and what speaks to it."""

    package: str
    make: Callable[[ModuleType, RunLabel], Service]


SINKS: Mapping[str, SinkMaker] = MappingProxyType(
    {
        "mlflow": SinkMaker("mlflow", MlflowService),
        "trackio": SinkMaker("trackio", TrackioService),
        "wandb": SinkMaker("wandb", WandbService),
    }
)
"""By the name that users give."""


def remote_sinks(names: Sequence[str], label: RunLabel) -> list[RemoteSink]:
    """A sink for each name, whose package is imported here; nothing is sent yet.

    Raises:
        RlpytError: ``config``, for a name that is unknown, with the nearest; for a package that is
            not installed or cannot be imported, with what to install.
    """
    check_sinks(names)
    records = SinkRecords(label.run_dir)
    return [
        RemoteSink(
            service=SINKS[name].make(_imported(SINKS[name].package), label),
            key=name,
            records=records,
            run_dir=label.run_dir,
        )
        for name in dict.fromkeys(names)
    ]


def check_sinks(names: Sequence[str]) -> None:
    """Raise for what :func:`remote_sinks` cannot make; nothing is imported.

    Raises:
        RlpytError: ``config``, for a name that is unknown, and for a package that is not installed.
    """
    for name in names:
        if name not in SINKS:
            hint = did_you_mean(name, SINKS)
            raise RlpytError("config", f"unknown sink {name!r}", hint=hint)
        package = SINKS[name].package
        if not _is_installed(package):
            what = f"the sink {name!r} needs the package {package}, which is not installed"
            raise RlpytError("config", what, hint=f'pip install "rlpyt[{package}]"')


def _is_installed(package: str) -> bool:
    """A folder of that name, which W&B makes for its files, is no package."""
    if sys.modules.get(package) is not None:
        return True
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


def _imported(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        what = f"the package {package} cannot be imported: {error}"
        raise RlpytError("config", what, hint=f'pip install -U "rlpyt[{package}]"') from error
