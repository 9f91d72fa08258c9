"""Two processes with half a batch each learn what one does with the whole."""

import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from world_parity import CPU, KINDS, learn, rank_body

from rlpyt.runners import ranks
from rlpyt.runners.ranks import hosted, seated, start_ranks
from rlpyt.samplers.role import Roles
from rlpyt.utils.world import World

Parameters = dict[str, torch.Tensor]


def assert_parity(alone: Parameters, ranks: list[Parameters]) -> None:
    for name, expected in alone.items():
        torch.testing.assert_close(ranks[0][name], expected, rtol=0, atol=1e-6, msg=name)
        for other in ranks[1:]:
            assert torch.equal(other[name], ranks[0][name]), name


GLOO = [  # of all kinds under torchrun, too
    pytest.param(kind, "gloo", marks=() if kind == "ppo" else pytest.mark.slow) for kind in KINDS
]


@pytest.mark.parametrize(("kind", "through"), [*((k, "shared memory") for k in KINDS), *GLOO])
def test_world_size_two_is_world_size_one(kind: str, through: str, monkeypatch: pytest.MonkeyPatch):
    if through == "gloo":
        monkeypatch.setattr(ranks, "MOST_PROCESSES", 1)
    with closing(Roles("forkserver")) as roles, hosted(2, 60.0) as (first, store):
        other = replace(first, rank=1, local_rank=1)
        [role], ends = start_ranks(roles, rank_body, [(other, kind)], torch_threads=1)
        assert (ends is None) == (through == "gloo")
        with seated(first, CPU, store, ends=ends) as world:
            own = learn(kind, world)
            others = role.receive(60.0)
            world.meet()
    assert_parity(learn(kind, World()), [own, others])


@pytest.mark.slow  # the launcher takes long; what it launches is tested above
def test_under_torchrun_too(tmp_path: Path):
    script = Path(__file__).with_name("world_parity.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", "--local-addr", "127.0.0.1"]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    subprocess.run([*command, script, tmp_path], check=True, env=environ, timeout=110)
    for kind in KINDS:
        ranks = [load_file(tmp_path / f"{kind}_{rank}") for rank in range(2)]
        assert_parity(learn(kind, World()), ranks)
