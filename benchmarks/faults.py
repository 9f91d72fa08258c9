"""What becomes of a training run when something goes wrong: ours, Stable-Baselines3's, and the
environments of Gymnasium's AsyncVectorEnv and TorchRL's ParallelEnv, in turn.

    python benchmarks/faults.py
    python benchmarks/faults.py --only sb3 --faults kill-worker,env-hangs --json out.json
    python benchmarks/faults.py --python torchrl=.venv-torchrl/bin/python

A peer that is not installed, here or where ``--python`` says, is left out. Each pair of fault and
library is a process of its own, in a session of its own, with two worker processes on CartPole;
what is left of it is looked for, and ended. Linux. A process that still runs at the limit hangs.
"""

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from peers.faulty import IN_ENV, MARK, STATE, make_env
from peers.options import add_json, add_python, interpreters, write_json

PEERS = {
    "rlpyt": "rlpyt: CpuSampler, PPO",
    "sb3": "Stable-Baselines3: SubprocVecEnv, PPO",
    "gymnasium": "Gymnasium: AsyncVectorEnv",
    "torchrl": "TorchRL: ParallelEnv",
}
PACKAGES = {
    "rlpyt": "rlpyt",
    "sb3": "stable-baselines3",
    "gymnasium": "gymnasium",
    "torchrl": "torchrl",
}
FAULTS = {
    "kill-worker": "SIGKILL to a worker",
    "env-raises": "an environment raises ValueError",
    "env-hangs": "an environment hangs",
    "nan": "an observation is NaN",
    "kill-main": "SIGKILL to the main process",
    "terminate-main": "SIGTERM to the main process",
    "kill-saving": "SIGKILL while a save replaces an older one",
    "payload": "a checkpoint with code in it is loaded",
}
HAS_FILES = {"kill-saving", "payload"}
SAVES_NOTHING = {"gymnasium", "torchrl"}  # the parts of them that are looked at
SAVES = 6  # that are killed
DEADLINE = 10.0  # seconds that our environments may take; peers have no such setting by default


class Outcome(NamedTuple):
    """What became of one process."""

    fault: str
    peer: str
    verdict: str
    seconds: float  # from the fault to the end
    code: int | None
    orphans: int
    last_line: str


# --- in the process of a peer ------------------------------------------------------------------


def run_rlpyt(folder: Path, resume: str) -> None:
    from rlpyt.agents import PgAgent
    from rlpyt.algos import PPO
    from rlpyt.envs import EnvConfig
    from rlpyt.logging import Logger
    from rlpyt.runners import MinibatchRl
    from rlpyt.samplers import CpuSampler

    sampler = CpuSampler(
        env=EnvConfig(id=make_env), batch_T=64, batch_B=4, n_workers=2, worker_timeout=DEADLINE
    )
    algo = PPO(minibatches=4, epochs=2)
    MinibatchRl(algo=algo, agent=PgAgent(), sampler=sampler, n_steps=10**9).train(
        Logger(folder / "run", "fault", 0, tensorboard=False, console=False)
    )


def run_sb3(folder: Path, resume: str) -> None:
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import SubprocVecEnv

    envs = SubprocVecEnv([make_env] * 2)
    PPO("MlpPolicy", envs, n_steps=64, batch_size=64, n_epochs=2, device="cpu").learn(10**9)


def run_gymnasium(folder: Path, resume: str) -> None:
    from gymnasium.vector import AsyncVectorEnv

    envs = AsyncVectorEnv([make_env] * 2)
    envs.reset(seed=0)
    while True:
        envs.step(envs.action_space.sample())


def run_torchrl(folder: Path, resume: str) -> None:
    from torchrl.envs import GymWrapper, ParallelEnv

    envs = ParallelEnv(2, lambda: GymWrapper(make_env(), categorical_action_encoding=True))
    while True:
        envs.rollout(100, break_when_any_done=False)


def save_rlpyt(folder: Path, resume: str) -> None:
    import torch

    from rlpyt.checkpoint import Checkpointer

    checkpoints = Checkpointer(folder / "checkpoints")
    if resume:
        checkpoints.load_latest()
        return
    state = {"w": torch.zeros(4_000_000)}
    for itr in range(10**6):
        checkpoints.save(state, itr=itr, cum_steps=itr)
        Path(os.environ[MARK]).touch()


def save_sb3(folder: Path, resume: str) -> None:
    from stable_baselines3 import PPO

    if resume:
        PPO.load(folder / "model.zip", device="cpu")
        return
    kwargs = {"net_arch": [1024, 1024]}
    model = PPO("MlpPolicy", "CartPole-v1", policy_kwargs=kwargs, device="cpu")
    while True:
        model.save(folder / "model.zip")
        Path(os.environ[MARK]).touch()


class _Payload:
    """Pickled, it makes a file on being read."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def load_sb3(folder: Path, resume: str) -> None:
    import cloudpickle
    from stable_baselines3 import PPO

    model = PPO("MlpPolicy", "CartPole-v1", device="cpu")
    model.save(folder / "model.zip")
    with zipfile.ZipFile(folder / "model.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(files["data"])
    code = base64.b64encode(cloudpickle.dumps(_Payload(str(folder / "canary")))).decode()
    data["extra"] = {":type:": "x", ":serialized:": code}
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        for name, content in (files | {"data": json.dumps(data).encode()}).items():
            archive.writestr(name, content)
    PPO.load(folder / "model.zip", device="cpu")


def load_rlpyt(folder: Path, resume: str) -> None:
    import torch

    from rlpyt.checkpoint import Checkpointer

    checkpoints = Checkpointer(folder / "checkpoints")
    path = checkpoints.save({"w": torch.zeros(4)}, itr=0, cum_steps=0)
    torch.save(_Payload(str(folder / "canary")), path / "arrays.safetensors")
    checkpoints.load_latest()


Body = Callable[[Path, str], None]


def body_of(peer: str, fault: str) -> Body:
    """What the process does."""
    saving: dict[str, Body] = {"rlpyt": save_rlpyt, "sb3": save_sb3}
    loading: dict[str, Body] = {"rlpyt": load_rlpyt, "sb3": load_sb3}
    training: dict[str, Body] = {
        "rlpyt": run_rlpyt,
        "sb3": run_sb3,
        "gymnasium": run_gymnasium,
        "torchrl": run_torchrl,
    }
    return {"kill-saving": saving, "payload": loading}.get(fault, training)[peer]


# --- outside -----------------------------------------------------------------------------------


def living() -> dict[int, tuple[int, str]]:
    """Parent and command of every living process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                command = (path / "cmdline").read_text().replace("\0", " ")
                found[int(path.name)] = int(parent), command
    return found


def below(pid: int) -> dict[int, str]:
    """All that a process has started, and what they are."""
    processes, found = living(), {pid: ""}
    while more := {
        each: command
        for each, (parent, command) in processes.items()
        if parent in found and each not in found
    }:
        found |= more
    del found[pid]
    return found


def workers(pid: int) -> list[int]:
    """Of the main process, without multiprocessing's helpers: their children are the workers."""
    processes = living()
    return [
        each
        for each, command in below(pid).items()
        if "resource_tracker" not in command
        and not ("forkserver" in command and processes.get(each, (0, ""))[0] == pid)
    ]


def processor_seconds(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Place(NamedTuple):
    """Whom to make suffer, where."""

    peer: str
    python: str  # its interpreter
    folder: Path


def start(place: Place, fault: str, resume: str = "") -> subprocess.Popen[bytes]:
    peer, python, folder = place
    mark = str(folder / "mark")
    environment = {**os.environ, STATE: fault, MARK: mark, "OMP_NUM_THREADS": "1"}
    with (folder / "errors").open("wb") as errors:
        return subprocess.Popen(
            [python, "-W", "ignore", __file__, "--body", peer, fault, str(folder), resume],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (now := true()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return now


def is_at_work(process: subprocess.Popen[bytes]) -> bool:
    """Two workers there, and each busy beyond its start: they step environments."""
    found = workers(process.pid)
    first = processor_seconds(found)
    time.sleep(2.0)
    return (
        len(found) >= 2
        and set(found) == set(workers(process.pid))
        and processor_seconds(found) > first
    )


def end(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def last_line(folder: Path) -> str:
    lines = (folder / "errors").read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else ""


def inject(place: Place, fault: str, limit: float) -> Outcome:
    """One run, from its start to what is left of it."""
    process = start(place, fault)
    peer, folder = place.peer, place.folder
    started: dict[int, str] = {}
    try:
        ready = wait_until((folder / "mark").exists, 120)
        if ready and fault not in IN_ENV:
            ready = wait_until(lambda: is_at_work(process), 120)
        if not ready:
            return Outcome(fault, peer, "did not start", 0.0, process.poll(), 0, last_line(folder))
        started = below(process.pid)
        at_work = set(workers(process.pid))
        began = time.monotonic()
        if fault == "kill-worker":
            os.kill(max(at_work), signal.SIGKILL)
        elif fault == "kill-main":
            process.kill()
        elif fault == "terminate-main":
            process.terminate()
        ended = wait_until(lambda: process.poll() is not None, limit)
        seconds = time.monotonic() - began
        wait_until(lambda: not at_work & living().keys(), 5.0 if ended else 0.0)
        orphans = len(at_work & living().keys()) if ended else 0
        verdict = _verdict(fault, ended, orphans, process.poll())
        return Outcome(fault, peer, verdict, seconds, process.poll(), orphans, last_line(folder))
    finally:
        end({process.pid, *below(process.pid), *(started.keys() & living().keys())})
        process.wait()


def _verdict(fault: str, ended: bool, orphans: int, code: int | None) -> str:
    if not ended:
        return "goes on, unnoticed" if fault == "nan" else "hangs"
    if orphans:
        return f"ends, {orphans} workers left behind"
    return "ends" if code == 0 or fault.endswith("-main") else "ends with an error"


def kill_saving(place: Place) -> Outcome:
    """Saves over an older one, each killed at another moment, and then read."""
    folder = place.folder
    lost, began = 0, time.monotonic()
    for turn in range(SAVES):
        (folder / "mark").unlink(missing_ok=True)
        process = start(place, "kill-saving")
        wait_until((folder / "mark").exists, 120)
        time.sleep(0.05 + 0.037 * turn)
        end([process.pid])
        process.wait()
        lost += start(place, "kill-saving", "resume").wait() != 0
    seconds = time.monotonic() - began
    verdict = f"{lost} of {SAVES} files destroyed" if lost else f"readable after {SAVES} of {SAVES}"
    return Outcome("kill-saving", place.peer, verdict, seconds, None, 0, last_line(folder))


def load_payload(place: Place) -> Outcome:
    began = time.monotonic()
    process = start(place, "payload")
    code = process.wait()
    ran = (place.folder / "canary").exists()
    verdict = "the code is run" if ran else "refused" if code else "loaded without it"
    seconds = time.monotonic() - began
    return Outcome("payload", place.peer, verdict, seconds, code, 0, last_line(place.folder))


def measure(peer: str, python: str, fault: str, limit: float) -> Outcome:
    """One cell of the table."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        place = Place(peer, python, Path(name))
        if fault == "kill-saving":
            return kill_saving(place)
        if fault == "payload":
            return load_payload(place)
        return inject(place, fault, limit)


def version(peer: str, python: str) -> str:
    """Of the peer where ``python`` runs; empty where it is not installed."""
    if peer == "rlpyt":
        return "of this checkout"
    code = f"from importlib import metadata; print(metadata.version({PACKAGES[peer]!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def table(outcomes: list[Outcome], versions: dict[str, str], limit: float) -> str:
    """For the documentation."""
    shown = {(each.fault, each.peer): each for each in outcomes}
    heads = [f"{PEERS[peer]} ({number})" for peer, number in versions.items()]
    lines = [f"| fault | {' | '.join(heads)} |", f"|---{'|---' * len(heads)}|"]
    for fault in dict.fromkeys(each.fault for each in outcomes):
        cells = []
        for peer in versions:
            found = shown.get((fault, peer))
            cell = "-" if found is None else found.verdict
            if found is not None and fault not in HAS_FILES and cell.startswith("ends"):
                cell += f", {found.seconds:.0f} s"
            if found is not None and cell.startswith(("ends with", "refused")):
                cell += f": `{found.last_line[:110].replace('|', '/')}`"
            cells.append(cell)
        lines.append(f"| {FAULTS[fault]} | {' | '.join(cells)} |")
    return "\n".join(
        [*lines, "", f"Hanging is running {limit:g} s after the fault. {date.today()}."]
    )


def main() -> None:
    if sys.argv[1:2] == ["--body"]:
        peer, fault, folder, resume = sys.argv[2:6]
        body_of(peer, fault)(Path(folder), resume)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PEERS), help="peers, by comma")
    parser.add_argument("--faults", default=",".join(FAULTS), help="faults, by comma")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds until it hangs")
    add_json(parser)
    add_python(parser, "that has a peer", "PEER")
    args = parser.parse_args()
    pythons = dict.fromkeys(args.only.split(","), sys.executable)
    pythons |= interpreters(args.python, pythons, "PEER")
    found = {peer: version(peer, python) for peer, python in pythons.items()}
    versions = {peer: number for peer, number in found.items() if number}
    for peer in found.keys() - versions.keys():
        print(f"{peer} is not installed, and left out", file=sys.stderr)
    outcomes = []
    for fault in args.faults.split(","):
        for peer in versions:
            if peer in SAVES_NOTHING and fault in HAS_FILES:
                continue
            outcomes.append(measure(peer, pythons[peer], fault, args.limit))
            print(outcomes[-1], file=sys.stderr, flush=True)
            rows = [each._asdict() for each in outcomes]
            content = {"date": str(date.today()), "versions": versions, "outcomes": rows}
            write_json(args.json, content)
    print(table(outcomes, versions, args.limit))


if __name__ == "__main__":
    main()
