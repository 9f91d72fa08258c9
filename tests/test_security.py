"""What SECURITY.md promises, read off the source and the scripts."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

from rlpyt.evaluation import dashboard
from rlpyt.evaluation.dashboard import Dashboard
from rlpyt.launch.variant import VariantLevel, make_variants
from rlpyt.utils.errors import RlpytError

ROOT = Path(__file__).parents[1]
SERVERS = {"HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer", "UDPServer"}
SERVERS |= {"TCPStore", "Listener", "create_server", "BaseManager", "SyncManager", "start_server"}
BINDS = {"bind", "listen"}
# Module: how it is shown that it listens to this machine alone.
LISTENERS = {"rlpyt/evaluation/dashboard.py": "its address is looked at below"}


def calls() -> list[tuple[str, int, str]]:
    """Where something is called, and the last part of its name."""
    found = []
    for path in sorted((ROOT / "rlpyt").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                found.append((path.relative_to(ROOT).as_posix(), node.lineno, name))
    return found


def test_nothing_listens_that_is_not_known() -> None:
    listening = {path for path, _line, name in calls() if name in SERVERS | BINDS}
    assert listening == set(LISTENERS)


def test_no_address_is_everybodys() -> None:
    found = []
    for path in sorted((ROOT / "rlpyt").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in ("0.0.0.0", "::", "*:*"):
                found.append(f"{path}:{node.lineno}")
    assert not found


def test_the_dashboard_listens_to_this_machine_alone(tmp_path: Path) -> None:
    with Dashboard(tmp_path) as shown:
        assert shown._server.socket.getsockname()[0] == "127.0.0.1"
    assert dashboard._ADDRESS == "127.0.0.1"


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "..", ".", "", "a b", "a\0b", "ü", "a\\b"])
@pytest.mark.faults("F40")
def test_names_of_runs_are_plain(name: str) -> None:
    level = VariantLevel(keys=[("algo", "learning_rate")], values=[(1e-3,)], dir_names=[name])
    with pytest.raises(RlpytError, match="directory name"):
        make_variants(level)


def check(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    """``scripts/check --security`` with a Python that is this shell script."""
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    words = [ROOT / "scripts" / "check", "--security"]
    environment = {**os.environ, "PYTHON": str(fake)}
    return subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def test_the_security_check_asks_for_secrets_and_vulnerabilities(tmp_path: Path) -> None:
    done = check(tmp_path, 'echo "$2" >> log; [ "$1" = -c ] || echo "ran $*"')
    assert done.returncode == 0, done.stderr
    ran = [line for line in done.stdout.splitlines() if line.startswith("ran ")]
    assert any(" README.md" in line for line in ran if "detect_secrets.pre_commit_hook" in line)
    assert ran[-1].startswith("ran -m pip_audit --strict ")
    assert not any(word in done.stdout for word in ("pytest", "mypy"))


@pytest.mark.parametrize("module", ["detect_secrets", "pip_audit"])
def test_the_security_check_fails_with_what_fails_in_it(tmp_path: Path, module: str) -> None:
    done = check(tmp_path, f'case "$*" in "-m {module}"*) exit 1;; esac')
    assert done.returncode == 1
    assert "security: FAILED: " in done.stderr
    assert done.stderr.count("FAILED") == 1


def test_the_security_check_says_what_is_not_installed(tmp_path: Path) -> None:
    done = check(tmp_path, '[ "$1" != -c ] || exit 1')
    assert done.returncode == 2
    assert "pip install -c constraints.txt -e '.[security]'" in done.stderr


def test_the_security_check_is_no_part_of_the_default_one() -> None:
    text = (ROOT / "scripts" / "check").read_text()
    behind = text.partition(
        '\nif [[ "${1:-}" == --security ]]; then\n    security\n    exit\nfi\n'
    )[2]
    assert behind
    assert not re.search("security|audit|secrets", behind)
