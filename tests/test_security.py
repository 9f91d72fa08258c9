"""What SECURITY.md promises, read off the source and the scripts."""

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlpyt.evaluation import dashboard
from rlpyt.evaluation.dashboard import Dashboard
from rlpyt.launch.variant import VariantLevel, make_variants
from rlpyt.runners.ranks import hosted
from rlpyt.utils.errors import RlpytError

ROOT = Path(__file__).parents[1]
SERVERS = {"HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer", "UDPServer"}
SERVERS |= {"TCPStore", "Listener", "create_server", "BaseManager", "SyncManager", "start_server"}
# Module: how it is shown that it listens to this machine alone.
LISTENERS = {
    "rlpyt/evaluation/dashboard.py": "its address is looked at below",
    "rlpyt/runners/ranks.py": "so is its",
}
SPLIT_AT_COLONS = {"rlpyt/samplers/failure.py"}  # lines of a cgroup


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Everything in the package's source, and the file that it is in."""
    for path in sorted((ROOT / "rlpyt").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path.relative_to(ROOT).as_posix(), node


def test_nothing_listens_that_is_not_known() -> None:
    listening = set()
    for path, node in nodes():
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            is_client = any(ast.unparse(argument) == "False" for argument in node.args)
            if name in SERVERS and not is_client:
                listening.add(path)
    assert listening == set(LISTENERS)


def test_no_address_is_everybodys() -> None:
    everybody = ("0.0.0.0", "::", "0:0:0:0:0:0:0:0")
    assert not [
        path
        for path, node in nodes()
        if isinstance(node, ast.Constant)
        and node.value in everybody
        and path not in SPLIT_AT_COLONS
    ]


def listening() -> set[str]:
    """Address and port of all that listens on this machine, as the kernel writes them."""
    found = set()
    for name in ("tcp", "tcp6"):
        path = Path("/proc/self/net") / name
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            _number, local, _remote, state = line.split()[:4]
            if state == "0A":
                found.add(local)
    return found


def test_ranks_meet_on_this_machine_alone() -> None:
    """torch's store listens to every network where it makes its socket itself."""
    with hosted(1, 10.0) as (seat, _store):
        [port] = {each for each in listening() if int(each.rpartition(":")[2], 16) == seat.port}
    assert port.startswith("0100007F:")


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
