"""Runs one implementation in this process.

    python -m peers.pong.worker MODULE RESULT.json SETTINGS_AS_JSON

As :mod:`peers.worker`, for the modules and settings of Pong.
"""

from typing import Any

from peers.pong.settings import DqnSettings, PpoSettings
from peers.training_worker import run_module


def make_settings(module_name: str, options: dict[str, Any]) -> PpoSettings | DqnSettings:
    kind = PpoSettings if module_name.startswith("ppo_") else DqnSettings
    return kind(**options)


if __name__ == "__main__":
    run_module("peers.pong", make_settings)
