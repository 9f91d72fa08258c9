"""F43: how workers start: with threads in the master, by both methods, and what cannot be sent."""

import sys
import threading
import types
from typing import Any

import pytest
import torch
from fault_envs import Faulty
from post_conditions import AssertClean
from small_runs import program, runner, sampler, sampling, train

from rlpyt.agents.pg import PgAgent
from rlpyt.models.pg import PgModel
from rlpyt.utils.errors import RlpytError


@pytest.mark.faults("F43")
def test_fork_is_refused(tmp_path, assert_clean: AssertClean):
    with pytest.raises(RlpytError) as caught:
        train(runner("cpu", start_method="fork"), tmp_path)
    error = caught.value
    assert error.code == "config"
    assert error.what == "sampler.start_method='fork'"
    assert 'use "forkserver" or "spawn"' in error.hint
    assert_clean(tmp_path / "run_0", "failed(config)", error)


@pytest.mark.faults("F43")
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_threads_in_the_master_do_not_matter(method, assert_clean: AssertClean):
    """A fork would copy the locks that they hold."""
    over, lock = threading.Event(), threading.Lock()

    def hold() -> None:
        while not over.is_set():
            with lock:
                torch.ones(64, 64) @ torch.ones(64, 64)

    threads = [threading.Thread(target=hold) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        with sampling("one", start_method=method) as made:
            found = made.obtain_samples(0)[0].observation.clone()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    with sampling("serial") as made:
        assert torch.equal(found, made.obtain_samples(0)[0].observation)
    assert_clean()


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize("what", ["lambda", "local class"])
def test_what_cannot_be_sent_to_another_process(kind, what, tmp_path, assert_clean: AssertClean):
    class Local(Faulty):
        pass

    made: Any = (lambda: Faulty()) if what == "lambda" else Local
    with pytest.raises(RlpytError) as caught:
        train(runner(kind, env=made), tmp_path)
    error = caught.value
    assert error.code == "config"
    assert error.what.startswith("the sampler's settings cannot be sent to a worker process: ")
    assert what.split()[0] in error.what
    assert (
        error.hint
        == 'name environments and classes at the top level of a module, or as "module:name"'
    )
    assert_clean(tmp_path / "run_0", "failed(config)", error)


def test_a_model_that_cannot_be_sent(assert_clean: AssertClean):
    class LocalModel(PgModel):
        pass

    made = sampler("cpu")
    agent = PgAgent(ModelCls=LocalModel, model_kwargs={"hidden_sizes": [8]})
    agent.initialize(made.env_spaces(), seed=0, device=torch.device("cpu"))
    with pytest.raises(RlpytError, match=r"be sent to a worker process: .*LocalModel") as caught:
        made.initialize(agent, seed=0)
    made.shutdown()
    assert_clean(error=caught.value)


SCRIPT = """
import torch
import gymnasium
from rlpyt.agents.pg import PgAgent
from rlpyt.samplers.cpu import CpuSampler
from rlpyt.utils.errors import RlpytError

class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

sampler = CpuSampler(env=Mine, batch_T=8, batch_B=2, n_workers=1)
agent = PgAgent()
agent.initialize(sampler.env_spaces(), seed=0, device=torch.device("cpu"))
try:
    sampler.initialize(agent, seed=0)
except RlpytError as error:
    raise SystemExit(str(error))
finally:
    sampler.shutdown()
"""


def test_a_script_that_starts_workers_as_it_is_imported(tmp_path, assert_clean: AssertClean):
    (tmp_path / "script.py").write_text(SCRIPT)
    with program(["script.py"], tmp_path) as script:
        code = script.process.wait(60)
    assert code == 1
    last = script.err().splitlines()[-1]
    assert last.startswith("ERROR worker: worker 0 ended with exit code 1 ")
    assert 'a script that starts workers needs if __name__ == "__main__": around' in last
    assert_clean()


class Lost(Faulty):
    """In a module that only this process knows."""


def test_an_environment_that_workers_cannot_import(tmp_path, monkeypatch, assert_clean):
    module = types.ModuleType("lost_and_found")
    module.Lost = Lost  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Lost, "__module__", module.__name__)
    with pytest.raises(RlpytError) as caught:
        train(runner("cpu", env=Lost), tmp_path)
    error = caught.value
    assert error.code == "config"
    assert error.what == (
        "a worker process cannot load the sampler's settings: No module named 'lost_and_found'"
    )
    assert "in a module, which workers can import too" in error.hint
    assert_clean(tmp_path / "run_0", "failed(config)", error)


@pytest.mark.slow
def test_an_environment_of_a_script_that_has_no_file(tmp_path, assert_clean: AssertClean):
    """As in a notebook: other processes cannot import it."""
    with program(["-c", SCRIPT], tmp_path) as script:
        code = script.process.wait(60)
    assert code == 1
    [line] = script.err().splitlines()
    assert line.startswith("ERROR config: a worker process cannot load the sampler's settings: ")
    assert "'Mine'" in line
    assert "in a module" in line
    assert_clean()
