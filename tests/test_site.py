"""The documentation as a site: it builds, nothing public is silent, its commands are understood."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from rlpyt.cli.main import command_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

needs_mkdocs = pytest.mark.skipif(
    find_spec("mkdocs") is None or find_spec("mkdocstrings") is None,
    reason="mkdocs is not installed: pip install 'rlpyt[docs]'",
)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import reference_pages

    return reference_pages


@needs_mkdocs
@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    algos = (tmp_path / "reference" / "algos" / "index.html").read_text()
    assert 'id="rlpyt.algos.A2C.loss"' in algos
    assert "rlpyt launch" in (tmp_path / "reference" / "commands" / "index.html").read_text()


@needs_mkdocs
def test_what_is_public_and_silent_is_named(tmp_path: Path, hook):
    package = tmp_path / "rlpyt" / "tools"
    package.mkdir(parents=True)
    (tmp_path / "rlpyt" / "__init__.py").write_text("")
    (package / "__init__.py").write_text(
        "from rlpyt.tools.things import Told, silent\n__all__ = ['Told', 'silent']\n"
    )
    (package / "things.py").write_text(
        'class Told:\n    "Says it."\n    def method(self): ...\n    def _own(self): ...\n'
        "def silent(): ...\n"
    )
    assert hook.undocumented() == []
    assert hook.undocumented(tmp_path) == ["rlpyt.tools.Told.method", "rlpyt.tools.silent"]


def commands() -> Iterator[tuple[str, str]]:
    """Page and command line of every ``rlpyt ...`` in a block of shell."""
    for page in PAGES:
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("rlpyt "):
                    yield page.name, line


def test_every_command_of_the_documentation_is_understood():
    parser, wrong = command_parser(), []
    for page, line in commands():
        words = shlex.split(line, comments=True)[1:]
        try:
            _namespace, rest = parser.parse_known_args(words)
        except Exception as error:  # whatever it is, it is told with the others
            wrong.append(f"{page}: {line}: {error}")
            continue
        wrong += [f"{page}: {line}: {word}" for word in rest if "=" not in word]
    assert wrong == []
