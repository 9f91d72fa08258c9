"""What differs between two sessions of ``provenance.json``, and how to get back what was."""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Difference", "difference_table", "differences", "ways_back"]

_SHOWN = 44  # characters of a value in the table
_LISTED = 12  # packages, or files, that differ
_HASH = re.compile("[0-9a-f]{64}")


class Difference(NamedTuple):
    """One thing that is not as it was."""

    what: str
    then: str  # "-": there was none
    now: str


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Everything recorded that a run's result may depend on and that differs; [] where all is the
    same.
    """
    found: list[Difference] = []
    repositories = [each.get("git", {}) for each in (then, now)]
    for name in dict.fromkeys([*repositories[0], *repositories[1]]):
        before, after = (each.get(name, {}) for each in repositories)
        whose = "git" if name == "user" else f"git of {name}"
        found += [
            Difference(f"{whose} commit", _commit(before), _commit(after)),
            Difference(f"{whose} diff", _diff(before), _diff(after)),
            *_listed(f"{whose} untracked", before.get("untracked", {}), after.get("untracked", {})),
        ]
    hashes = [each.get("hashes", {}) for each in (then, now)]
    found += _changed({"rlpyt": "rlpyt source", "settings": "settings"}, *hashes)
    found += _listed("package", *(_versions(each) for each in (then, now)))
    machines = [dict(each.get("machine", {})) for each in (then, now)]
    for machine in machines:  # which of several equal devices does not matter
        machine["device"] = str(machine.get("device", "-")).partition(":")[0]
    names = {name: name.replace("_", " ") for machine in machines for name in machine}
    found += _changed(names, *machines)
    found += _listed("variable", *(each.get("environment", {}) for each in (then, now)))
    found += _changed({"inference": "inference"}, *(each.get("plan", {}) for each in (then, now)))
    return [each for each in found if each.then != each.now]


def difference_table(found: Iterable[Difference]) -> str:
    """Three aligned columns with a heading, for people."""
    rows = [Difference("what differs", "then", "now"), *found]
    cells = [[_short(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(2)]
    return "\n".join(f"{a:{widths[0]}}  {b:{widths[1]}}  {c}" for a, b, c in cells)


def ways_back(run_dir: Path, then: Mapping[str, Any], found: Iterable[Difference]) -> list[str]:
    """How to get the code and the packages of then, where those differ: one sentence each."""
    names = [each.what for each in found]
    sentences = []
    for name, before in then.get("git", {}).items():
        whose = "git" if name == "user" else f"git of {name}"
        if before.get("commit") is None or not any(each.startswith(f"{whose} ") for each in names):
            continue
        git = f"git -C {shlex.quote(before['root'])}"
        commands = [f"{git} checkout {before['commit']}"]
        diff = before.get("diff")
        if diff is not None and diff["whole"]:
            commands.append(f"{git} apply {shlex.quote(str((run_dir / diff['file']).resolve()))}")
        sentences.append(f"the code of then: {' && '.join(commands)}")
        if diff is not None and not diff["whole"]:
            what = f"{run_dir / diff['file']} has only the beginning of {diff['bytes']:,} bytes"
            sentences.append(f"but not its uncommitted changes: {what}")
        if before.get("n_untracked"):
            what = "of files that git did not track, provenance.json has names and hashes only"
            sentences.append(f"{what} ({before['n_untracked']} then)")
    if any(name.startswith("package ") for name in names):
        sentences.append(f"the package versions of then: {run_dir / 'provenance.json'}")
    return sentences


def _commit(repository: Mapping[str, Any]) -> str:
    commit, branch = repository.get("commit"), repository.get("branch")
    if commit is None:
        return str(repository.get("problem") or "-")
    return f"{commit[:12]} ({branch})" if branch else str(commit[:12])


def _diff(repository: Mapping[str, Any]) -> str:
    diff = repository.get("diff")
    return "-" if diff is None else f"{diff['sha256'][:12]} ({diff['bytes']:,} bytes)"


def _changed(
    names: Mapping[str, str], then: Mapping[str, Any], now: Mapping[str, Any]
) -> list[Difference]:
    return [
        Difference(shown, _text(then.get(name)), _text(now.get(name)))
        for name, shown in names.items()
    ]


def _listed(noun: str, then: Mapping[str, str], now: Mapping[str, str]) -> list[Difference]:
    """One line for each name, as far as they are few."""
    names = [name for name in sorted({**then, **now}) if then.get(name) != now.get(name)]
    found = _changed({name: f"{noun} {name}" for name in names[:_LISTED]}, then, now)
    if len(names) > _LISTED:
        more = f"{len(names) - _LISTED} more"
        found.append(Difference(noun, more, "see provenance.json"))
    return found


def _versions(session: Mapping[str, Any]) -> dict[str, str]:
    pairs = (text.partition("==") for text in session.get("packages", []))
    return {name: version for name, _, version in pairs}


def _text(value: Any) -> str:
    if value in (None, "", []):
        return "-"
    if isinstance(value, list):
        return "; ".join(map(str, value))
    text = str(value)
    return text[:12] if _HASH.fullmatch(text) else text


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
