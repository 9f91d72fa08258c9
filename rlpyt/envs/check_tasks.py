"""Whether the tasks of an environment are drawn, set and handed out as they should be."""

import json
from typing import Any

import numpy as np

from rlpyt.envs.check_report import Finding
from rlpyt.envs.tasks import TaskEnv, plain_task, same_task

__all__ = ["task_findings"]

_N_TASKS = 4


def task_findings(env: TaskEnv) -> list[Finding]:
    """What is wrong with ``env``'s three methods, or that all is well; its task stays."""
    current = env.get_task()
    tasks = env.sample_tasks(_N_TASKS, np.random.default_rng(0))
    if not isinstance(tasks, list) or len(tasks) != _N_TASKS:
        what = f"sample_tasks({_N_TASKS}, rng) returned {tasks!r:.60}"
        return [_error(what, f"return a list of {_N_TASKS} tasks")]
    for task in [current, *tasks]:
        if not _is_plain(task):
            what = f"a task is {task!r:.60}"
            return [_error(what, "make tasks dicts of numbers and arrays of float64, by name")]
    found = []
    again = env.sample_tasks(_N_TASKS, np.random.default_rng(0))
    if not all(same_task(one, other) for one, other in zip(tasks, again, strict=True)):
        what = "the same generator gives other tasks the second time"
        found.append(_error(what, "draw tasks by the given rng, and by nothing else"))
    if not same_task(env.get_task(), current):
        what = "sample_tasks changes the current task"
        found.append(_error(what, "let sample_tasks only draw, and set_task set"))
    found += _round_trips(env, [*tasks, current])
    if found:
        return found
    return [Finding(level="ok", topic="tasks", what="drawn, set and handed out as they should be")]


def _round_trips(env: TaskEnv, tasks: list[Any]) -> list[Finding]:
    for task in tasks:
        env.set_task(json.loads(json.dumps(plain_task(task))))
        if not same_task(env.get_task(), task):
            what = f"after set_task({plain_task(task)!r:.60}), get_task gives another"
            mend = "let set_task take lists for arrays (rlpyt.envs.checked_task does), and get_task"
            return [_error(what, f"{mend} return all of the task")]
    return []


def _is_plain(task: Any) -> bool:
    if not isinstance(task, dict) or not all(isinstance(name, str) for name in task):
        return False
    try:
        json.dumps(plain_task(task))
    except (TypeError, ValueError):
        return False
    return True


def _error(what: str, mend: str) -> Finding:
    return Finding(level="error", topic="tasks", what=what, mend=mend)
