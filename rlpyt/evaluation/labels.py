"""Short names for algorithms that differ in a few of many settings."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from rlpyt.evaluation.runs import RunGroup, short_name

__all__ = ["setting_labels"]

_LONGEST = 48  # characters of a label; longer ones become numbers
_LAST_RESORT = ("name", "log_interval_steps", "checkpoint_interval_steps")  # change no result


def setting_labels(groups: Sequence[RunGroup]) -> tuple[list[str], list[str]]:
    """A label for each group, and notes on labels that stand for more than they say.

    Groups of one environment have different labels; groups of different environments have the same
    one where they are of the same algorithm and the same in every setting that tells groups of one
    environment apart. So do settings that follow the environment, as a preset's, not split an
    algorithm. Of settings that vary together one is shown, and only where it is not as in most
    groups: ``DQN``, ``DQN · double=True``.
    """
    labels = [""] * len(groups)
    notes: list[str] = []
    for algorithm in dict.fromkeys(group.algorithm for group in groups):
        of_it = [i for i, group in enumerate(groups) if group.algorithm == algorithm]
        texts = _texts([groups[i] for i in of_it])
        distinct = list(dict.fromkeys(texts))
        for i, text in zip(of_it, texts, strict=True):
            label = f"{algorithm} · {text}" if text else algorithm
            if len(label) > _LONGEST:
                label = f"{algorithm} #{distinct.index(text) + 1}"
                notes.append(f"{label} is {algorithm} with {text}")
            labels[i] = label
    return labels, list(dict.fromkeys(notes))


def _texts(groups: Sequence[RunGroup]) -> list[str]:
    """What is shown of each group's settings."""
    keys = _telling(groups)
    values = [tuple(_text(group.params.get(key)) for key in keys) for group in groups]
    usual = [_majority([value[k] for value in dict.fromkeys(values)]) for k in range(len(keys))]
    texts = []
    for group, value in zip(groups, values, strict=True):
        shown = [
            f"{short_name(key, keys)}={text}"
            for key, text, common in zip(keys, value, usual, strict=True)
            if text != common
        ]
        twins = [
            g for g, v in zip(groups, values, strict=True) if v == value and g.env == group.env
        ]
        texts.append(", ".join(shown) if len(twins) == 1 else group.details)
    return texts


def _telling(groups: Sequence[RunGroup]) -> list[str]:
    """The settings that tell groups of one environment apart; of those that tell the same, one."""
    pairs = [(a.params, b.params) for a, b in combinations(groups, 2) if a.env == b.env]
    keys = list(dict.fromkeys(key for group in groups for key in group.params))
    keys = [key for key in keys if len({json.dumps(g.params.get(key)) for g in groups}) > 1]
    chosen: dict[tuple[bool, ...], str] = {}
    untold = [True] * len(pairs)
    for key in sorted(keys, key=_plainness):
        told = tuple(_differ(a, b, key) for a, b in pairs)
        news = any(t and u for t, u in zip(told, untold, strict=True))
        if told not in chosen and (news or (any(told) and not _changes_no_result(key))):
            chosen[told] = key
            untold = [u and not t for t, u in zip(told, untold, strict=True)]
    return [key for key in keys if key in chosen.values()]


def _differ(a: Mapping[str, Any], b: Mapping[str, Any], key: str) -> bool:
    return json.dumps(a.get(key)) != json.dumps(b.get(key))


def _plainness(key: str) -> tuple[bool, bool, int, int]:
    """Of two settings that tell the same apart, the lesser is shown."""
    of = [f".{part}." in f".{key}." for part in ("algo", "model_kwargs", "agent", "sampler")]
    place = of.index(True) if any(of) else len(of)
    return _changes_no_result(key), key.endswith(".class"), place, key.count(".")


def _changes_no_result(key: str) -> bool:
    return key.rpartition(".")[2] in _LAST_RESORT


def _text(value: Any) -> str:
    """``Prioritized`` for a class by its path; others as they print."""
    if isinstance(value, str) and value.startswith("rlpyt."):
        return value.rpartition(".")[2]
    return str(value)


def _majority(texts: Sequence[str]) -> str | None:
    """What more than half have, where there is such a value."""
    text, count = Counter(texts).most_common(1)[0]
    return text if 2 * count > len(texts) else None
