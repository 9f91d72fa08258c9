"""Whether EnvPool's Procgen can be had here: it needs Qt 5 beside the package."""

from functools import cache

from rlpyt.envs import EnvConfig, peek_spaces
from rlpyt.utils.errors import RlpytError


def is_procgen(env: EnvConfig) -> bool:
    """Whether it is one of Procgen's games."""
    return str(env.id).startswith("envpool/") and str(env.id).endswith("Easy-v0")


@cache
def procgen_problem() -> str | None:
    """Why not; None where it can."""
    try:
        peek_spaces(EnvConfig(id="envpool/CoinrunEasy-v0"))
    except RlpytError as error:
        return str(error)
    return None
