"""Runs one implementation in this process.

    python -m peers.worker MODULE RESULT.json SETTINGS_AS_JSON [--check]

It writes to RESULT.json, not to the console, which libraries use as they like. A library that is
not there ends the process with status 3; any other trouble is its traceback.
"""

import importlib
import json
import sys
from pathlib import Path

import torch

from peers.measure import Probe, Stopwatch
from peers.settings import NOT_INSTALLED, Settings


def main() -> None:
    module_name, result_path, settings_text, *flags = sys.argv[1:]
    options = json.loads(settings_text)
    settings = Settings(**{**options, "hidden": tuple(options["hidden"])})
    torch.set_num_threads(settings.threads)
    watch, probe = Stopwatch(settings=settings), Probe()
    if flags:
        probe.attach(functional=module_name == "ours")
        watch.on_start = probe.zero
    try:
        module = importlib.import_module(f"peers.{module_name}")
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    checked = {}

    def stop() -> None:
        checked.update(probe.report(settings, settings.total - settings.first))

    if flags:
        watch.on_stop = stop
    module.train(settings, watch)
    result = {**watch.result(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    result["version"] = module.version()
    Path(result_path).write_text(json.dumps({**result, "check": checked}), encoding="utf-8")


if __name__ == "__main__":
    main()
