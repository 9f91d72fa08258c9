"""The rows of the fault table: what is injected for real, and what must come of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """One fault; ``priority`` 0 stops a release. ``absent`` says why no test injects it here."""

    fault: str
    outcome: str
    within: str
    priority: int
    absent: str = ""


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "F01": Row(
            "a worker is killed in the middle of a batch",
            "the error names rank, pid, signal, environments and step",
            "5 s",
            0,
        ),
        "F02": Row(
            "the same, with `on_worker_failure=restart`",
            "a new worker; exact counters; the run finishes",
            "15 s",
            0,
        ),
        "F03": Row("workers die again and again", "it stops: the budget is exhausted", "-", 1),
        "F04": Row(
            "an environment raises in step, reset, constructor, close",
            "type and traceback of the original, environment, capsule",
            "5 s",
            0,
        ),
        "F05": Row(
            "an environment exits, aborts, or crashes its process",
            "as F01, with exit code or signal",
            "5 s",
            0,
        ),
        "F06": Row(
            "an environment hangs: asleep, busy, deaf to SIGTERM",
            "a deadline's error with its Python stack; it is ended",
            "deadline + 10 s",
            0,
        ),
        "F07": Row(
            "NaN or infinity in observation or reward",
            "the error names environment, field and index",
            "same step",
            0,
        ),
        "F08": Row(
            "wrong shape, dtype or key; outside of the space",
            "the error names what was expected and found",
            "same step",
            0,
        ),
        "F09": Row(
            "an environment returns the same buffer each step",
            "what was stored does not change",
            "-",
            1,
        ),
        "F10": Row(
            "an environment leaks 1 MB a step",
            "a warning",
            "60 s",
            2,
            absent="not built: priority 2",
        ),
        "F11": Row("an environment starts processes of its own", "they end with it", "-", 1),
        "F12": Row(
            "Ctrl-C", "a checkpoint, one line, exit 130, no tracebacks of workers", "10 s", 0
        ),
        "F13": Row("Ctrl-C twice", "an end at once, nothing left", "3 s", 0),
        "F14": Row(
            "SIGTERM, as of a scheduler",
            "a checkpoint, exit 143; resumed it is bit-identical",
            "30 s",
            0,
        ),
        "F15": Row(
            "SIGKILL of the master, at any moment",
            "workers end by themselves; resumed it is bit-identical",
            "5 s",
            0,
        ),
        "F16": Row(
            "SIGKILL at each boundary of a checkpoint's writing",
            "the one before is intact and chosen",
            "-",
            0,
        ),
        "F17": Row(
            "loss of power: what was not synced is gone",
            "write, fsync, rename, fsync of the directory, in this order",
            "-",
            1,
        ),
        "F18": Row(
            "the disk is full, in a checkpoint or a log",
            "training goes on with a warning; old checkpoints are intact",
            "5 s",
            0,
        ),
        "F19": Row(
            "the log directory cannot be written, vanishes, or is a file",
            "at the start an error with path and reason; later as F18",
            "2 s",
            0,
        ),
        "F20": Row(
            "a checkpoint's file is cut off, or a bit of it flipped",
            "the hash names the file; the one before is taken",
            "5 s",
            0,
        ),
        "F21": Row(
            "no manifest, a future format, an unknown component",
            "a clear error, or a report of what was loaded",
            "2 s",
            0,
        ),
        "F22": Row(
            "resumed with other settings",
            "a table: allowed, needs `--override`, impossible",
            "2 s",
            0,
        ),
        "F23": Row(
            "resumed on fewer cores, another sampler or device",
            "allowed; says which exactness is lost",
            "-",
            1,
        ),
        "F24": Row(
            "two runs in one directory",
            "the second refuses, and names who holds it; a dead one's lock is taken over",
            "2 s",
            0,
        ),
        "F25": Row(
            "a launcher is killed with 6 of 10 runs queued",
            "started again it finishes each run once",
            "10 s",
            0,
        ),
        "F26": Row(
            "/dev/shm is full, or of 64 MB",
            "it does not matter, or an error with need and limit",
            "2 s",
            0,
        ),
        "F27": Row(
            "too few open files or processes are allowed", "an error with need and limit", "2 s", 1
        ),
        "F28": Row("no memory is left", "the error says that it was probably that", "5 s", 1),
        "F29": Row(
            "no memory is left on the accelerator",
            "an error with batch size and memory",
            "5 s",
            1,
            absent="needs an accelerator",
        ),
        "F30": Row(
            "a rank of several is killed",
            "the others name it and end; restarted they are equal",
            "30 s",
            0,
        ),
        "F31": Row("a rank hangs", "the timeout names it", "timeout + 5 s", 1),
        "F32": Row(
            "ranks start with other settings, seed or code",
            "the error names what differs",
            "5 s",
            1,
        ),
        "F33": Row(
            "an actor of Ray dies",
            "as F02",
            "60 s",
            2,
            absent="not built: nothing here runs on Ray",
        ),
        "F34": Row("asynchronous: sampler or learner dies", "as F01, with its role", "5 s", 0),
        "F35": Row(
            "asynchronous: one side is 100 times slower",
            "the other waits; lag and memory are bounded",
            "-",
            0,
        ),
        "F36": Row("parameters are read while they are written", "no read is torn", "-", 0),
        "F37": Row(
            "a crafted file, with a payload in a pickle",
            "never executed; pickle is not a supported format",
            "2 s",
            0,
        ),
        "F38": Row(
            "a crafted archive: traversal, links, bombs, clashing names",
            "refused before anything is written; the limit is named",
            "2 s",
            0,
        ),
        "F39": Row(
            "a downloaded file has another hash, or is cut off",
            "refused",
            "5 s",
            1,
            absent="nothing downloads: there is no hub yet",
        ),
        "F40": Row(
            "a malformed variant file",
            "the error has line, column and key; nothing is created",
            "2 s",
            0,
        ),
        "F41": Row(
            "the clock jumps by an hour, or stands still",
            "no negative speed, no checkpoint missed or doubled",
            "-",
            1,
        ),
        "F42": Row(
            "a logging backend dies", "one warning; training and progress.csv go on", "-", 0
        ),
        "F43": Row("fork after threads", "refused, with a hint", "2 s", 1),
        "F44": Row(
            "OMP_NUM_THREADS is unset on 64 faked cores", "no more threads than planned", "5 s", 1
        ),
        "F45": Row(
            "an affinity mask smaller than the machine",
            "the plan keeps to the CPUs that are allowed",
            "2 s",
            0,
        ),
        "F46": Row(
            "a thousand samplers come and go",
            "descriptors, threads, memory stay flat",
            "5 min",
            1,
        ),
        "F47": Row(
            "10 million asynchronous steps",
            "memory grows by less than 1 MB/h, speed does not fall",
            "a night",
            1,
            absent="by hand: `python scripts/soak`, which injects faults all the while",
        ),
        "F48": Row(
            "seeds: none, 0, 2^32 - 1, 2^63, negative",
            "accepted and recorded, or a clear error",
            "1 s",
            1,
        ),
        "F49": Row(
            "the evaluation's environment crashes",
            "evaluations are skipped with a warning, training goes on",
            "-",
            1,
        ),
        "F50": Row("checkpoints of older releases", "each loads, with its score", "-", 1),
    }
)
