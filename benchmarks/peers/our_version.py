"""The version of ours that is measured: that of the checkout, installed or not."""

import tomllib
from pathlib import Path

__all__ = ["version"]

ROOT = Path(__file__).resolve().parents[2]


def version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])
