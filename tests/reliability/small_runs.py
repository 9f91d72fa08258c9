"""Small runs with environments that fail: in this process, with their workers in others; or as a
command in a process of its own.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import warm_python
from fault_envs import RUN_SEED, Faulty
from post_conditions import Ended, wait_until
from world_runs import as_async, as_sync

from rlpyt.agents.dqn import DqnAgent
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.dqn import DQN
from rlpyt.algos.pg.a2c import A2C
from rlpyt.cli.main import main
from rlpyt.envs.build import EnvConfig
from rlpyt.logging.context import logger_context
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.runners.sync_rl import SyncRl
from rlpyt.samplers.alternating import AlternatingSampler
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.cpu import CpuSampler
from rlpyt.samplers.gpu import GpuSampler
from rlpyt.samplers.processes import process_context, start_process
from rlpyt.samplers.role import Role, Roles
from rlpyt.samplers.serial import SerialSampler

T, B = 8, 4
CPU = torch.device("cpu")
ROOT = Path(main.__code__.co_filename).parents[2]
KINDS: dict[str, tuple[type[Any], int]] = {  # sampler and its workers
    "one": (CpuSampler, 1),
    "cpu": (CpuSampler, 2),
    "gpu": (GpuSampler, 2),
    "alternating": (AlternatingSampler, 2),
}
QUIET = ["--quiet", "--no-tensorboard", "--no-plot"]


def sampler(kind: str = "cpu", *, env: Any = Faulty, **settings: Any) -> BaseSampler:
    """T = 8, B = 4; ``settings`` of the sampler, or of the environment, by name."""
    made = {"worker_timeout": 30.0}
    if kind == "serial":
        cls: Any = SerialSampler
        made = {}
    else:
        cls, made["n_workers"] = KINDS[kind]
    names = cls.__dataclass_fields__
    made |= {"batch_T": T, "batch_B": B}
    made |= {name: value for name, value in settings.items() if name in names}
    kwargs = {name: value for name, value in settings.items() if name not in names}
    return cls(env=EnvConfig(id=env, kwargs=kwargs), **made)


@contextmanager
def sampling(kind: str = "cpu", **settings: Any) -> Iterator[BaseSampler]:
    """A sampler that has been initialised."""
    made = sampler(kind, **settings)
    agent = PgAgent(model_kwargs={"hidden_sizes": [8]})
    agent.initialize(made.env_spaces(), seed=RUN_SEED, device=CPU)
    try:
        made.initialize(agent, seed=RUN_SEED)
        yield made
    finally:
        made.shutdown()


def runner(kind: str = "cpu", *, n_itr: int = 6, **settings: Any) -> MinibatchRl:
    """A run of A2C that logs and saves every other iteration."""
    own = {
        name: settings.pop(name)
        for name in list(settings)
        if name in MinibatchRl.__dataclass_fields__
    }
    return MinibatchRl(
        algo=A2C(learning_rate=1e-3),
        agent=PgAgent(model_kwargs={"hidden_sizes": [8]}),
        sampler=sampler(kind, **settings),
        seed=RUN_SEED,
        **{
            "n_steps": n_itr * T * B,
            "log_interval_steps": 2 * T * B,
            "checkpoint_interval_steps": 2 * T * B,
            **own,
        },
    )


def sync_runner(kind: str = "serial", *, timeout: float = 30.0, **settings: Any) -> SyncRl:
    """The same in two ranks: rank 1 has environments 4 to 7. Its log is of 32 steps in both."""
    return as_sync(runner(kind, **settings), timeout=timeout)


def async_runner(
    kind: str = "serial", *, timeout: float = 30.0, world_size: int = 1, **settings: Any
) -> AsyncRl:
    """DQN, sampled in another process."""
    made = replace(
        runner(kind, **settings),
        algo=DQN(
            replay=ReplayBuffer(size=256),
            batch_size=8,
            min_steps_learn=0,
            replay_ratio=1.0,
            learning_rate=1e-3,
        ),
        agent=DqnAgent(model_kwargs={"hidden_sizes": [8]}),
    )
    return as_async(made, timeout=timeout, world_size=world_size)


@contextmanager
def named_roles() -> Iterator[dict[str, int]]:
    """Process numbers by name, of the roles that are started inside."""
    start, pids = Roles.start, {}

    def starting(self: Roles, name: str, *args: Any, **settings: Any) -> Role:
        role = start(self, name, *args, **settings)
        pids[name] = role.pid
        return role

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Roles, "start", starting)
        yield pids


@dataclass
class Strike:
    """A signal that was sent, and when."""

    pid: int = 0
    at: float = 0.0  # time.monotonic


@contextmanager
def striking(
    run_dir: Path,
    pid: Callable[[], int],
    signum: signal.Signals,
    *,
    itr: int = 2,
) -> Iterator[Strike]:
    """Inside, the run in ``run_dir`` is to go on, until ``signum`` goes to the process that
    ``pid`` names, once iteration ``itr`` is saved.
    """
    strike, ended = Strike(), threading.Event()

    def body() -> None:
        while saved_itr(run_dir) < itr and not ended.wait(0.01):
            pass
        if not ended.is_set():
            time.sleep(0.05)
            strike.pid, strike.at = pid(), time.monotonic()
            os.kill(strike.pid, signum)

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield strike
    finally:
        ended.set()
        thread.join()


def train(made: BaseRunner, log_dir: Path, *, resume: bool = False) -> Path:
    """Train with a logger; the run directory."""
    with logger_context(
        log_dir, 0, "test", tensorboard=False, console=False, resume=resume
    ) as logger:
        made.train(logger, resume=resume)
    return log_dir / "run_0"


def in_child(words: list[str], folder: Path, *, timeout: float = 60.0) -> Ended:
    """``rlpyt WORDS`` in a process forked from the fork server: at once, where a command takes
    seconds to import torch.
    """
    out, err = folder / "child.out", folder / "child.err"
    process = process_context("forkserver").Process(target=_command, args=(words, out, err))
    start = time.monotonic()
    start_process(process, torch_threads=1)
    process.join(timeout)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    assert code is not None, f"{words} took more than {timeout} s"
    return Ended(code, out.read_text(), err.read_text(), time.monotonic() - start)


def _command(words: list[str], out: Path, err: Path) -> None:
    for fd, path in ((1, out), (2, err)):
        opened = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(opened, fd)
        os.close(opened)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    sys.exit(main(words))


@dataclass
class Program:
    """A program in a session of its own, as a shell in a terminal starts it."""

    process: warm_python.Program | subprocess.Popen[str]
    folder: Path
    signalled: float = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid

    def out(self) -> str:
        return (self.folder / "program.out").read_text()

    def err(self) -> str:
        return (self.folder / "program.err").read_text()

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, f"ended: {self.err()}"
            return bool(condition())

        wait_until(ready, seconds, what)

    def kill(self, signum: signal.Signals, *, group: bool = False) -> None:
        self.signalled = time.monotonic()
        (os.killpg if group else os.kill)(self.pid, signum)

    def ended(self, timeout: float) -> Ended:
        """How it ends, within ``timeout`` seconds."""
        code = self.process.wait(timeout)
        return Ended(code, self.out(), self.err(), time.monotonic() - self.signalled)


@contextmanager
def program(
    words: list[str],
    folder: Path,
    environ: dict[str, str] | None = None,
    *,
    fresh: bool = False,
) -> Iterator[Program]:
    """Python with ``words`` for arguments; ``fresh`` if it is to import all anew."""
    paths = [str(ROOT), str(Path(__file__).parent)]
    clean = {name: text for name, text in os.environ.items() if not name.startswith("OMP_")}
    start = partial(subprocess.Popen, text=True) if fresh else warm_python.start
    with (folder / "program.out").open("w") as out, (folder / "program.err").open("w") as err:
        process = start(
            [sys.executable, *words] if fresh else words,
            env={**clean, "PYTHONPATH": os.pathsep.join(paths), **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=out.fileno(),
            stderr=err.fileno(),
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield Program(process, folder)
    finally:
        process.kill()
        process.wait()


def train_words(
    run_dir: Path, kind: str, n_itr: int, *, group_size: int | None = None, **kwargs: Any
) -> list[str]:
    """A run of A2C on Faulty, as arguments of ``rlpyt``; ``kwargs`` are the environment's."""
    sizes = f"sampler.batch_T={T} sampler.batch_B={B} agent.model_kwargs.hidden_sizes=[8]"
    every = f"checkpoint_interval_steps={T * B} log_interval_steps={2 * T * B}"
    words = f"train a2c fault_envs:Faulty --steps {n_itr * T * B} --seed {RUN_SEED}"
    if kind != "serial":
        words += f" --sampler {'cpu' if kind == 'one' else kind} --workers {KINDS[kind][1]}"
    settings = [f"sampler.env.kwargs.{name}={value}" for name, value in kwargs.items()]
    if group_size is not None:
        settings.append(f"sampler.group_size={group_size}")
    settings += [*QUIET, "--out", str(run_dir)]
    return [*words.split(), *sizes.split(), *every.split(), *settings]


def saved_itr(run_dir: Path) -> int:
    """Iteration of the newest checkpoint; -1 where there is none."""
    names = (path.name for path in (run_dir / "checkpoints").glob("itr_?????????"))
    return max((int(name[-9:]) for name in names), default=-1)
