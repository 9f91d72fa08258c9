"""The files around the package: versions, extras, scripts, conda environments."""

import os
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import rlpyt

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required_name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return normal(found.group())


def constraints() -> dict[str, str]:
    """Name to version; fails for a line that is no pin."""
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            found = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)", line)
            assert found, f"not a plain pin: {line}"
            pins[normal(found.group(1))] = found.group(2)
    return pins


def test_constraints_pin_torch_without_a_build() -> None:
    assert constraints()["torch"] == "2.13.0"


def test_constraints_pin_everything_that_is_asked_for() -> None:
    wanted = {required_name(text) for text in PROJECT["dependencies"]}
    for texts in EXTRAS.values():
        wanted |= {required_name(text) for text in texts}
    assert not wanted - set(constraints()) - {"rlpyt"}


def test_constraints_pin_what_those_bring() -> None:
    """What is installed here is followed through its own requirements, as pip does."""
    pins = constraints()
    waiting = {(name, "") for name in pins}
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        seen.add((name, extra))
        for requirement in requirements_of(name, extra):
            brought = normal(requirement.name)
            if not brought.startswith(("cuda", "nvidia", "triton")):  # torch's, on Linux with CUDA
                waiting |= {(brought, e) for e in ("", *requirement.extras)} - seen
    assert not {name for name, _extra in seen} - set(pins)


def requirements_of(name: str, extra: str) -> list[Requirement]:
    """What an installed package asks for here; nothing for one that is not installed."""
    try:
        texts = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    found = [Requirement(text) for text in texts]
    return [r for r in found if r.marker is None or r.marker.evaluate({"extra": extra})]


def test_extras_name_extras() -> None:
    (everything,) = EXTRAS["all"]
    found = re.fullmatch(r"rlpyt\[(.*)\]", everything)
    assert found
    assert set(found.group(1).split(",")) == set(EXTRAS) - {"all"}
    assert {
        "atari",
        "box2d",
        "mujoco",
        "dm-control",
        "envpool",
        "video",
        "dev",
        "oracles",
        "docs",
    } <= set(EXTRAS)


def test_hints_of_the_code_name_extras() -> None:
    """An error that says ``pip install "rlpyt[x]"`` names an extra that there is."""
    texts = [path.read_text() for path in (ROOT / "rlpyt").rglob("*.py")]
    named = {extra for text in texts for extra in re.findall(r"rlpyt\[([\w-]+)\]", text)}
    assert named
    assert named <= set(EXTRAS)


def test_package_is_what_pyproject_says() -> None:
    assert rlpyt.__version__ == PROJECT["version"]
    assert PROJECT["requires-python"] == ">=3.11"
    assert "torch>=2.10,<3" in PROJECT["dependencies"]
    assert PROJECT["scripts"] == {"rlpyt": "rlpyt.cli.main:main"}
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


@pytest.mark.parametrize("path", ["scripts/check", ".ci/run"])
def test_scripts_are_executable_bash(path: str) -> None:
    script = ROOT / path
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_check_works_from_any_folder_and_stops_at_a_failure(tmp_path: Path) -> None:
    """With a Python that only prints its arguments, and fails at one of them."""
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho "$PWD: $@"\n[ "$2" != mypy ] || exit 3\n')
    fake.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(fake)}
    done = subprocess.run(
        [ROOT / "scripts" / "check", "tests/envs"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    ran = [line for line in done.stdout.splitlines() if not line.startswith("+")]
    assert ran == [
        f"{ROOT}: -m ruff format --check .",
        f"{ROOT}: -m ruff check .",
        f"{ROOT}: -m mypy --strict rlpyt",
    ]
    fake.write_text('#!/bin/sh\necho "$PWD: $@"\n')
    done = subprocess.run(
        [ROOT / "scripts" / "check", "tests/envs", "-x"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"{ROOT}: -m pytest -n 2 tests/envs -x"


@pytest.mark.parametrize("name", ["linux_cpu.yml", "linux_cuda.yml"])
def test_conda_environments_install_this_checkout_with_the_constraints(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "python=3.11" in text
    assert "- --constraint constraints.txt\n" in text
    assert "- --editable .[dev]\n" in text
    assert ("pytorch-cpu" in text) == (name == "linux_cpu.yml")
