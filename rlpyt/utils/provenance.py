"""Where a run comes from: code, packages, machine and command, as data for JSON."""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

import torch

import rlpyt
from rlpyt.utils.config import flatten_config
from rlpyt.utils.cpus import usable_cpus
from rlpyt.utils.device import DEVICE_VARIABLES, device_model, torch_build
from rlpyt.utils.git import Diff, Repository, read_repository

__all__ = ["Session", "describe_session", "installed_packages", "source_digest", "user_folder"]

_VARIABLES = (  # the only environment variables that are written down
    *DEVICE_VARIABLES,
    "MKL_NUM_THREADS",
    "MUJOCO_GL",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "WORLD_SIZE",
)
_ENDINGS = (".dist-info", ".egg-info")
_INSTALLED = re.compile(r"([^-]+)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")


@final
@dataclass(frozen=True, kw_only=True)
class Session:
    """One start of a run: a resumed run has several."""

    record: Mapping[str, Any]  # for JSON; of a diff its size and hash
    diffs: Mapping[str, Diff]  # by repository: "user", "rlpyt"


def describe_session(
    settings: Mapping[str, Any], *, seed: int, plan: Mapping[str, Any], device: torch.device
) -> Session:
    """Everything about this process that a run's result may depend on.

    Git is asked of the repository of the user's code, and of that of rlpyt, where it is installed
    from one.

    Args:
        settings: the run's configuration, as ``config_dict`` gives it.
        seed: of the run.
        plan: how the sampler divides its work.
        device: where the agent computes.
    """
    folder, source = user_folder(settings), Path(rlpyt.__file__).resolve().parents[1]
    repositories = {"user": read_repository(folder)}
    if (source / ".git").exists() and repositories["user"].root != source:
        repositories["rlpyt"] = read_repository(source)
    record = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "command": list(sys.argv),
        "script": None if (script := _script()) is None else str(script),
        "directory": str(Path.cwd()),
        "folder": str(folder),
        "git": {name: _described(found) for name, found in repositories.items()},
        "hashes": {
            "settings": _digest(settings),
            "rlpyt": source_digest(),
            **{
                f"diff of {name}": found.diff.sha256
                for name, found in repositories.items()
                if found.diff
            },
        },
        "machine": _machine(device),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "plan": plan,
        "packages": installed_packages(),
    }
    diffs = {name: found.diff for name, found in repositories.items() if found.diff is not None}
    return Session(record=record, diffs=diffs)


def installed_packages() -> list[str]:
    """``name==version`` of every package that can be imported here, by the alphabet.

    Names and versions are read off the names of the folders that installers leave beside a package:
    opening a hundred of them would take as long as everything else.
    """
    found: dict[str, str] = {}
    for folder in dict.fromkeys(sys.path):
        try:
            names = [name for name in os.listdir(folder or ".") if name.endswith(_ENDINGS)]
        except OSError:  # not there, or an archive
            continue
        for name in sorted(names):
            match = _INSTALLED.fullmatch(name)
            if match is not None:
                package, version = match.groups()
            else:  # an egg-info without a version: in a source tree
                metadata = importlib.metadata.Distribution.at(Path(folder, name)).metadata
                package, version = metadata["Name"] or "", metadata["Version"] or "unknown"
            if package:
                found.setdefault(re.sub(r"[-_.]+", "-", package).lower(), version)
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def source_digest() -> str:
    """SHA-256 over the names and contents of the package's source files."""
    root = Path(rlpyt.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def user_folder(settings: Mapping[str, Any]) -> Path:
    """Where the user's code is: the script's folder; for a command such as ``rlpyt``, that from
    which a class or function of ``settings`` is imported, or else the current one.
    """
    script = _script()
    if script is not None and script.stem != "rlpyt" and not _is_installed(script):
        return script.parent
    named = (_module_file(name, value) for name, value in flatten_config(settings).items())
    own = (path for path in named if path is not None and not _is_installed(path))
    return next((path.parent for path in own), Path.cwd())


def _module_file(name: str, value: Any) -> Path | None:
    """Of the module or package that a setting is from, as in ``my_envs:make`` or a class's path."""
    if not isinstance(value, str) or not (":" in value or name.rpartition(".")[2] == "class"):
        return None
    try:
        spec = importlib.util.find_spec(re.split("[.:]", value)[0])
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    path = Path(spec.origin).resolve()
    return path.parent if spec.submodule_search_locations is not None else path


def _is_installed(path: Path) -> bool:
    """It belongs to Python, to a package or to rlpyt, not to the user."""
    folders = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), rlpyt.__path__[0])
    is_command = path.parent == Path(sys.executable).parent
    return is_command or any(path.is_relative_to(Path(folder).resolve()) for folder in folders)


def _script() -> Path | None:
    """The file that Python was started with; None in an interactive session."""
    name = getattr(sys.modules["__main__"], "__file__", None)
    return None if name is None else Path(name).resolve()


def _described(found: Repository) -> dict[str, Any]:
    diff = found.diff
    return {
        "root": None if found.root is None else str(found.root),
        "commit": found.commit,
        "branch": found.branch,
        "problem": found.problem,
        "diff": None
        if diff is None
        else {"bytes": diff.size, "sha256": diff.sha256, "whole": diff.is_whole},
        "untracked": found.untracked,
        "n_untracked": found.n_untracked,
    }


def _machine(device: torch.device) -> dict[str, Any]:
    cpus = usable_cpus()
    return {
        "host": platform.node(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": _libc(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "usable_cpus": cpus.count,
        "cpu_limits": list(cpus.limits),
        "device": str(device),
        "device_model": device_model(device),
        "torch_build": torch_build(),
        "torch_threads": torch.get_num_threads(),
    }


def _libc() -> str:
    """``"glibc 2.36"``; "" for another C library."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
