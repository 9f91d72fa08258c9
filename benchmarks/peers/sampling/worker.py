"""Measures one system in this process.

    python -m peers.sampling.worker MODULE RESULT.json TASK_AS_JSON

It writes to RESULT.json, not to the console, which libraries use as they like. A library that is
not there ends the process with status 3; any other trouble is its traceback.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path

import torch
from gymnasium.error import DependencyNotInstalled

from peers.sampling.measure import measure
from peers.sampling.task import Task
from peers.settings import NOT_INSTALLED


def main() -> None:
    module_name, result_path, task_text = sys.argv[1:]
    task = Task(**json.loads(task_text))
    torch.set_num_threads(1)
    created = time.perf_counter()
    try:
        module = importlib.import_module(f"peers.sampling.{module_name}")
        system = module.build(task)
    except (ModuleNotFoundError, DependencyNotInstalled) as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    load = os.getloadavg()[0]
    result = {
        **measure(system.advance, warmup=task.warmup, seconds=task.seconds),
        "start_s": time.perf_counter() - created,
        "load": load,
        "layout": system.layout,
        "version": module.version(),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
    }
    result["start_s"] -= result["wall_s"] + task.warmup
    Path(result_path).write_text(json.dumps(result), encoding="utf-8")
    system.close()


if __name__ == "__main__":
    main()
