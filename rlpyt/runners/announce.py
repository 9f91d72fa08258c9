"""What a run says of itself when it starts: its settings, and where they are kept."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

import rlpyt
from rlpyt.envs.build import EnvConfig
from rlpyt.envs.gym import env_name
from rlpyt.logging.logger import Logger
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.init_from import Origin
from rlpyt.runners.settings import check_unchanged, lost_exactness
from rlpyt.utils.config import config_dict, flatten_config
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.provenance import describe_session, source_digest
from rlpyt.utils.world import World

__all__ = ["announce", "check_ranks_agree", "log_settings"]


def log_settings(
    logger: Logger,
    runner: BaseRunner,
    plan: Mapping[str, Any],
    device: torch.device,
    *,
    resume: bool,
    lineage: Mapping[str, Any] | None = None,
) -> None:
    """Write ``params.json``, of a resumed run after a look at what it was; ``provenance.json``,
    with the ``lineage`` of parameters that are not the run's own.
    """
    path = logger.run_dir / "params.json"
    config, extra = config_dict(runner), {"plan": plan}
    if resume and path.exists():
        before = json.loads(path.read_text())
        check_unchanged(before, config, str(path))
        lost = lost_exactness(before, {**config, "extra": extra})
        if lost is not None:
            logger.text(lost, 0, show=False)
            warnings.warn(lost, RuntimeWarning, stacklevel=2)
    logger.log_params(config, extra)
    session = describe_session(config, seed=runner.seed, plan=plan, device=device)
    if lineage is not None:
        session = replace(session, record={**session.record, "init_from": lineage})
    logger.log_session(session)


def announce(
    logger: Logger,
    runner: BaseRunner,
    plan: Mapping[str, Any],
    itr: int,
    origin: Origin | None = None,
) -> None:
    """Tell people what is learned, on which device, into which directory, and by whom."""
    env = env_name(EnvConfig.of(runner.sampler.env).id)
    what = f"{type(runner.algo).__name__} on {env}: {runner.n_steps:,} steps, seed {runner.seed}"
    logger.text(f"{what}, {runner.agent.device}, into {logger.run_dir}", itr)
    if plan:
        logger.text(plan["text"], itr)
    if origin is not None:
        logger.text(str(origin), itr)
    if itr:
        logger.text(f"resumed after {runner.cum_steps:,} steps", itr)


def check_ranks_agree(runner: BaseRunner, world: World) -> None:
    """Raise where processes that are to learn together have been started differently.

    Raises:
        RlpytError: ``rank``, naming the setting and both values.
    """
    if world.size == 1:
        return
    own = {
        "rlpyt": f"{rlpyt.__version__}, source {source_digest()[:12]}",
        "torch": torch.__version__,
        **flatten_config(config_dict(runner)),
    }
    for rank, other in enumerate(world.gather(own)):
        for name in dict.fromkeys([*own, *other]):
            if own.get(name) != other.get(name):
                raise RlpytError(
                    "rank",
                    f"{name}={other.get(name)!r} in rank {rank}, "
                    f"{own.get(name)!r} in rank {world.rank}",
                    hint="start all ranks with the same code, settings and seed",
                )
