"""Runs one implementation in this process.

    python -m peers.agent57.worker MODULE RESULT.json SETTINGS_AS_JSON

As :mod:`peers.worker`, for the modules and settings of Agent57.
"""

from peers.agent57.settings import make_settings
from peers.training_worker import run_module

if __name__ == "__main__":
    run_module("peers.agent57", make_settings)
