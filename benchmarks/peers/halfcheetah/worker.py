"""Runs one implementation in this process.

    python -m peers.halfcheetah.worker MODULE RESULT.json SETTINGS_AS_JSON

As :mod:`peers.worker`, for the modules and settings of HalfCheetah.
"""

from peers.halfcheetah.settings import make_settings
from peers.training_worker import run_module

if __name__ == "__main__":
    run_module("peers.halfcheetah", make_settings)
