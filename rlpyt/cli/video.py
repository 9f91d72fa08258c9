"""Recording one episode of an agent as a video."""

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.wrappers import RecordVideo

from rlpyt.envs.build import EnvConfig, build_env
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.evaluator import Evaluator
from rlpyt.utils.errors import RlpytError

__all__ = ["check_video", "record_video"]


def check_video(path: Path) -> None:
    """Raise before anything has been run, if no video could be written to ``path``.

    Raises:
        RlpytError: where the package that encodes is not installed, or ``path`` is no ``.mp4``.
    """
    if path.suffix != ".mp4":
        raise RlpytError("usage", f"cannot record {path}", hint="end it in .mp4")
    if importlib.util.find_spec("moviepy") is None:
        raise RlpytError("config", "video needs moviepy", hint='pip install "rlpyt[video]"')


def record_video(runner: BaseRunner, path: Path, *, seed: int, greedy: bool) -> Path:
    """Run one episode of the runner's (loaded) agent and write it to ``path``, an ``.mp4``.

    Raises:
        RlpytError: where the environment draws nothing, or ``path`` cannot be written.
    """
    config = EnvConfig.of(runner.sampler.env)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "video")  # a new one: Gymnasium warns of others

        def make() -> gymnasium.Env[Any, Any]:
            env = build_env(config, render_mode="rgb_array")
            return RecordVideo(
                env, str(folder), episode_trigger=lambda n: n == 0, disable_logger=True
            )

        evaluator = Evaluator(episodes=1, n_envs=1, greedy=greedy, env=EnvConfig(id=make))
        evaluator.initialize(runner.agent, runner.sampler, seed=seed, discount=runner.algo.discount)
        try:
            evaluator.evaluate(0)
        finally:
            evaluator.shutdown()
        found = sorted(folder.glob("*.mp4"))
        if not found:
            raise RlpytError(
                "env", "no video was written", hint="does the environment render rgb_array?"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(found[0], path)
        except OSError as error:
            what = f"cannot write {path}: {error.strerror}"
            raise RlpytError("directory", what, hint="choose another path") from error
    return path
