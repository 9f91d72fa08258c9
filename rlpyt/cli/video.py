"""Recording one episode of an agent as a video."""

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.wrappers import RecordVideo

from rlpyt.envs.build import EnvConfig, build_env
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.utils.errors import RlpytError

__all__ = ["record_video"]


def record_video(runner: MinibatchRl, path: Path, *, seed: int, greedy: bool) -> Path:
    """Run one episode of the runner's (loaded) agent and write it to ``path``, an ``.mp4``.

    Raises:
        RlpytError: where the packages that draw and encode are not installed, or the environment
        draws nothing.
    """
    missing = [name for name in ("moviepy", "pygame") if importlib.util.find_spec(name) is None]
    if missing:
        raise RlpytError(
            "config", f"video needs {' and '.join(missing)}", hint='pip install "rlpyt[video]"'
        )
    config = EnvConfig.of(runner.sampler.env)
    with tempfile.TemporaryDirectory() as folder:

        def make() -> gymnasium.Env[Any, Any]:
            env = build_env(config, render_mode="rgb_array")
            return RecordVideo(env, folder, episode_trigger=lambda n: n == 0, disable_logger=True)

        evaluator = Evaluator(episodes=1, n_envs=1, greedy=greedy, env=EnvConfig(id=make))
        evaluator.initialize(runner.agent, runner.sampler, seed=seed, discount=runner.algo.discount)
        try:
            evaluator.evaluate(0)
        finally:
            evaluator.shutdown()
        found = sorted(Path(folder).glob("*.mp4"))
        if not found:
            raise RlpytError(
                "env", "no video was written", hint="does the environment render rgb_array?"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(found[0], path)
    return path
