"""Packages of environments that register their ids with Gymnasium when they are imported."""

import importlib
import re
import warnings

import gymnasium

from rlpyt.utils.errors import RlpytError

__all__ = ["hint_elsewhere", "import_suite", "install_hint"]

# Packages that register their ids when imported: (how the id starts, or ends, package, our extra).
_REGISTERED_BY = (
    ("ALE/", "NoFrameskip-v4", "ale_py", "atari"),
    ("MiniGrid-", "", "minigrid", "minigrid"),
    ("BabyAI-", "", "minigrid", "minigrid"),
    ("", "BulletEnv-v0", "pybullet_envs_gymnasium", "pybullet"),
    ("dm_control/", "", "dm_control", "dm-control"),  # shimmy without it registers none
    ("dm_control/", "", "shimmy", "dm-control"),
)


def import_suite(env_id: str) -> None:
    """Import what registers ``env_id``; nothing, where that is none of these packages.

    Raises:
        RlpytError: ``env``, for a missing package.
    """
    for start, end, package, extra in _REGISTERED_BY:
        if (start and env_id.startswith(start)) or (end and env_id.endswith(end)):
            _register(env_id, package, extra)


def install_hint(extra: str) -> str:
    """How to get one of our extras."""
    return f'pip install "rlpyt[{extra}]"'


def hint_elsewhere(env_id: str) -> str:
    """Where else to get what the old Gym had under this id; empty, where nothing is known.

    Procgen's own package knows only the old Gym, as ``procgen:procgen-coinrun-v0``. EnvPool has the
    same games; there the id says how hard the levels are, of which Procgen's default is the hard.
    """
    found = re.fullmatch("(?:procgen:)?procgen-([a-z]+)-v0", env_id)
    if found is None:
        return ""
    return f"EnvPool has it: envpool/{found[1].capitalize()}Hard-v0; {install_hint('envpool')}"


def _register(env_id: str, package: str, extra: str) -> None:
    """Import the package that registers ``env_id``: an optional one, hence here and not on top.

    dm_control looks for a display as it is imported; that there is none matters to who renders.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="glfw$")
            gymnasium.register_envs(importlib.import_module(package))
    except ImportError as cause:
        raise RlpytError(
            "env", f"{env_id} needs the package {package}: {cause}", hint=install_hint(extra)
        ) from cause
