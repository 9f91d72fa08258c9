"""Runs one implementation in this process.

    python -m peers.pong.worker MODULE RESULT.json SETTINGS_AS_JSON

As :mod:`peers.worker`, for the modules and settings of Pong.
"""

import importlib
import json
import sys
from pathlib import Path

import torch
from gymnasium.error import DependencyNotInstalled

from peers.measure import Stopwatch, family_cpu_seconds
from peers.pong.settings import DqnSettings, PpoSettings
from peers.settings import NOT_INSTALLED


def main() -> None:
    module_name, result_path, settings_text = sys.argv[1:]
    kind = PpoSettings if module_name.startswith("ppo_") else DqnSettings
    settings = kind(**json.loads(settings_text))
    torch.set_num_threads(settings.threads)
    watch = Stopwatch(settings=settings, cpu_clock=family_cpu_seconds)
    try:
        module = importlib.import_module(f"peers.pong.{module_name}")
        module.train(settings, watch)
    except (ModuleNotFoundError, DependencyNotInstalled) as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    result = {**watch.result(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    result["version"] = module.version()
    Path(result_path).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
