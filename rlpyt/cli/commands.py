"""The commands of ``rlpyt``, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from rlpyt.cli import (
    compare,
    convert,
    dashboard,
    devices,
    doctor,
    env_check,
    evaluate,
    fork,
    hashing,
    launch,
    pack,
    plot,
    queue_commands,
    replay_capsule,
    replay_update,
    repro,
    rerun,
    resume,
    rewind,
    search,
    train,
    verify,
    watch,
)
from rlpyt.cli.command import Command

__all__ = ["COMMANDS"]

COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "train": train.COMMAND,
        "resume": resume.COMMAND,
        "rewind": rewind.COMMAND,
        "fork": fork.COMMAND,
        "launch": launch.COMMAND,
        "search": search.COMMAND,
        "status": queue_commands.STATUS,
        "stop": queue_commands.STOP,
        "retry": queue_commands.RETRY,
        "requeue": queue_commands.REQUEUE,
        "rerun": rerun.COMMAND,
        "repro": repro.COMMAND,
        "verify": verify.COMMAND,
        "eval": evaluate.COMMAND,
        "hash": hashing.COMMAND,
        "convert": convert.COMMAND,
        "pack": pack.PACK,
        "unpack": pack.UNPACK,
        "watch": watch.COMMAND,
        "dashboard": dashboard.COMMAND,
        "plot": plot.COMMAND,
        "compare": compare.COMMAND,
        "doctor": doctor.COMMAND,
        "devices": devices.COMMAND,
        "env-check": env_check.COMMAND,
        "replay-capsule": replay_capsule.COMMAND,
        "replay-update": replay_update.COMMAND,
    }
)
"""Name to command, in the order of the help page."""
