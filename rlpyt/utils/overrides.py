"""A changed copy of a component, by dotted paths such as ``algo.learning_rate=1e-3``."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import (
    Any,
    NamedTuple,
    TypeVar,
    final,
    get_args,
    get_origin,
    get_type_hints,
)

from rlpyt.utils.config import config_fields, dotted_path, has_default, is_component, union_members
from rlpyt.utils.convert import convert, parse_value
from rlpyt.utils.errors import RlpytError, did_you_mean
from rlpyt.utils.mismatch import quote, type_name

__all__ = ["apply_overrides", "apply_values"]

Component = TypeVar("Component")

_DEEPEST = 4  # components inside components, where a field is looked for that is elsewhere


def apply_overrides(component: Component, overrides: Iterable[str]) -> Component:
    """A copy of ``component`` with overrides such as ``"algo.learning_rate=1e-3"``; the last wins.

    A path goes through fields and through dicts (``agent.model_kwargs.hidden_sizes=[64, 64]``). A
    dict takes new keys, unless its field declares ``metadata={"keys": [...]}``. A component that is
    None begins with its defaults, at the first path into it (``algo.replay.prioritized.alpha=0.6``)
    or with ``{}``; ``{"alpha": 0.6}`` makes a new one. All fields of a component are replaced at
    once: it is checked as it is going to be. Values are JSON, Python numbers or strings, checked
    and converted against the field's annotation. Components off the paths are shared with the
    original.

    Raises:
        RlpytError: ``config``, naming the full path, for a malformed override, an unknown key or a
            wrong value.
    """
    draft = _Draft(component)
    for override in overrides:
        path, equals, text = override.partition("=")
        path = path.strip()
        if not equals or not all(path.split(".")):
            hint = "write path=value, such as algo.learning_rate=1e-3"
            raise RlpytError("config", f"malformed override {override!r}", hint=hint)
        draft.change(path.split("."), _Setting(path, parse_value(text, path), text.strip()))
    changed: Component = draft.built()
    return changed


def apply_values(component: Component, values: Mapping[str, Any]) -> Component:
    """:func:`apply_overrides` for data by dotted path: ``{"algo.learning_rate": 1e-3}``."""
    draft = _Draft(component)
    for path, value in values.items():
        if not all(path.split(".")):
            raise RlpytError("config", f"malformed path {path!r}", hint="write algo.learning_rate")
        draft.change(path.split("."), _Setting(path, value, None))
    changed: Component = draft.built()
    return changed


class _Setting(NamedTuple):
    """What is to be set."""

    path: str  # the whole one, for errors
    value: Any
    text: str | None  # what the user wrote

    def converted(self, annotation: Any) -> Any:
        return convert(self.value, annotation, self.path, self.text)


@final
class _Draft:
    """A component with the fields that it is to have instead. They are replaced all at once: a
    component may check one field against another, and is never made of half of what was asked for.
    """

    def __init__(self, component: Any) -> None:
        self.component = component
        self.changes: dict[str, Any] = {}

    def built(self) -> Any:
        """The component with its changes, and all inside with theirs."""
        if not self.changes:
            return self.component
        return replace(self.component, **{key: _built(new) for key, new in self.changes.items()})

    def change(self, parts: list[str], setting: _Setting) -> None:
        """Set the field that ``parts`` leads to."""
        name, rest = parts[0], parts[1:]
        kind, known = type(self.component), config_fields(self.component)
        if name not in known:
            what = f"{setting.path}: {kind.__name__} has no field {name!r}"
            hint = did_you_mean(name, known) if known else "it has no fields"
            inside = _paths_inside(self.component, name)
            if inside:
                before = setting.path.removesuffix(".".join(parts))
                hint = f"did you mean {' or '.join(before + path for path in inside)}?"
            raise RlpytError("config", what, where=dotted_path(kind), hint=hint)
        annotation = get_type_hints(kind)[name]
        current = self.changes.get(name, getattr(self.component, name))
        if not rest:
            self.changes[name] = _field_value(setting, annotation, current)
            return
        current = _present(current, annotation)
        if _is_component(current):
            self.changes[name] = _changed(current, rest, setting)
        else:
            mapping = _mapping_type(annotation, current)
            if mapping is None:
                hint = f"write {setting.path.removesuffix('.' + '.'.join(rest))}=..."
                now = f"{name} ({type_name(annotation)}, now {current!r:.40})"
                what = f"{setting.path}: {now} has nothing inside"
                raise RlpytError("config", what, where=dotted_path(kind), hint=hint)
            keys = known[name].metadata.get("keys")
            self.changes[name] = _with_item(current or {}, rest, setting, mapping, keys)


def _paths_inside(component: Any, name: str) -> list[str]:
    """Where the nearest components inside this one have a field of that name, as dotted paths."""
    level = {"": component}
    for _depth in range(_DEEPEST):
        level = {
            f"{path}{key}.": inner
            for path, outer in level.items()
            for key, inner in _components_of(outer)
        }
        found = [path + name for path, inner in level.items() if name in config_fields(inner)]
        if found:
            return found
    return []


def _components_of(component: Any) -> Iterator[tuple[str, Any]]:
    """The components in its fields, by name, as :func:`_present` has them."""
    types = get_type_hints(type(component))
    for name in config_fields(component):
        value = _present(getattr(component, name), types[name])
        if is_component(value):
            yield name, value


def _present(value: Any, annotation: Any) -> Any:
    """A field's value; where it is None and may be a component, that with its defaults."""
    kind = _component_type(annotation) if value is None else None
    return value if kind is None else kind()


def _is_component(value: Any) -> bool:
    return isinstance(value, _Draft) or is_component(value)


def _changed(component: Any, parts: list[str], setting: _Setting) -> _Draft:
    """A draft of the component, or the draft that there is, with the setting."""
    draft = component if isinstance(component, _Draft) else _Draft(component)
    draft.change(parts, setting)
    return draft


def _built(value: Any) -> Any:
    if isinstance(value, _Draft):
        return value.built()
    if isinstance(value, Mapping):
        return {key: _built(item) for key, item in value.items()}
    return value


def _field_value(setting: _Setting, annotation: Any, current: Any) -> Any:
    try:
        return setting.converted(annotation)
    except RlpytError as error:
        component = current.component if isinstance(current, _Draft) else current
        kind = type(component) if _is_component(component) else _component_type(annotation)
        if kind is None or isinstance(setting.value, Mapping):
            raise
        inner = ", ".join(f"{setting.path}.{name}" for name in config_fields(kind))
        begin = f"{error.hint} Or " if error.hint else ""
        raise RlpytError(error.code, error.what, hint=f"{begin}set a field: {inner}") from None


def _component_type(annotation: Any) -> type | None:
    """The component of a field that may also be ``None``, where it has a default for each field."""
    members = union_members(annotation)
    kinds = [kind for kind in members if isinstance(kind, type) and is_dataclass(kind)]
    if len(kinds) != 1:
        return None
    is_complete = all(has_default(field) for field in fields(kinds[0]) if field.init)
    return kinds[0] if is_complete else None


def _mapping_type(annotation: Any, current: Any) -> tuple[Any, Any] | None:
    """Key and item type of a dict field, also of one that may be ``None``; ``None`` for others."""
    for option in union_members(annotation):
        kind = get_origin(option) or option
        if isinstance(kind, type) and issubclass(kind, Mapping):
            key, item = get_args(option) or (Any, Any)
            return key, item
    return (Any, Any) if isinstance(current, Mapping) else None


def _with_item(
    current: Mapping[str, Any],
    parts: list[str],
    setting: _Setting,
    mapping: tuple[Any, Any],
    keys: Iterable[str] | None,
) -> dict[str, Any]:
    """``current`` with the item that ``parts`` leads to replaced; ``keys`` are all it may have."""
    name, rest = parts[0], parts[1:]
    known = list(current if keys is None else keys)
    if name not in known and keys is not None:
        raise RlpytError(
            "config", f"{setting.path}: no key {name!r}", hint=did_you_mean(name, known)
        )
    old = current.get(name)
    new: Any
    if not rest:
        new = setting.converted(mapping[1])
        new = tuple(new) if isinstance(old, tuple) and isinstance(new, list) else new
    elif _is_component(old):
        new = _changed(old, rest, setting)
    elif isinstance(old, Mapping) or (old is None and mapping[1] is Any):
        new = _with_item(old or {}, rest, setting, (Any, Any), None)
    else:
        what = f"{setting.path}: {name!r} is {quote(old)}, which has nothing inside"
        if name not in current:
            what = f"{setting.path}: {name!r} takes {type_name(mapping[1])}, with nothing inside"
        raise RlpytError("config", what)
    return {**current, name: new}
