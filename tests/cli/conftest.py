"""The command line in this process: fast, and its output at hand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rlpyt.cli.main import main

QUICK = ["--quiet", "--no-tensorboard", "--no-plot"]
SMALL = ["--steps", "256", "sampler.batch_T=16", "algo.epochs=1", *QUICK]


@dataclass
class Result:
    """What a command returned and printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr of a command that failed."""
        assert self.code != 0
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("ERROR "), self.err
        assert "Traceback" not in self.err
        return lines[0]


Run = Callable[..., Result]


@pytest.fixture
def rlpyt(capfd: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path) -> Run:
    """``rlpyt("train", "ppo", ...)``, in the current directory ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Result:
        capfd.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code or 0
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def small(rlpyt: Run) -> Callable[..., Path]:
    """``small("run", ...)``: a small run of PPO in the directory named."""

    def train(name: str, *words: str) -> Path:
        result = rlpyt("train", "ppo", "cli_envs:Sound", "--out", name, *SMALL, *words)
        assert result.code == 0, result.err
        assert result.out == result.err == ""
        return Path(name)

    return train
