"""What the workers of the benchmarks of training do: run one implementation in this process."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gymnasium.error import DependencyNotInstalled

from peers.measure import Stopwatch, family_cpu_seconds
from peers.settings import NOT_INSTALLED, Run

__all__ = ["run_module"]


def run_module(package: str, make_settings: Callable[[str, dict[str, Any]], Run]) -> None:
    """As ``sys.argv`` says: MODULE of ``package``, RESULT.json, SETTINGS_AS_JSON.

    ``make_settings`` takes MODULE and the settings. A library that is not there ends the process
    with status 3; any other trouble is its traceback.
    """
    module_name, result_path, settings_text = sys.argv[1:]
    settings = make_settings(module_name, json.loads(settings_text))
    torch.set_num_threads(settings.threads)
    watch = Stopwatch(settings=settings, cpu_clock=family_cpu_seconds)
    try:
        module = importlib.import_module(f"{package}.{module_name}")
        module.train(settings, watch)
    except (ModuleNotFoundError, DependencyNotInstalled) as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    result = {**watch.result(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    result["version"] = module.version()
    Path(result_path).write_text(json.dumps(result), encoding="utf-8")
