"""NamedArrayTuple: a struct of arrays that is indexed as one array.

``samples[t, b]`` reads and ``samples[t] = step`` writes every field at once; fields that are
``None`` are skipped. A declared class *is* a plain named tuple with four methods replaced, so that
pickle, torch's pytree, ``torch.compile(fullgraph=True)``, ``vmap`` and ``default_collate`` know it
without being told.
"""

from collections import namedtuple
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeGuard, dataclass_transform

__all__ = ["NamedArrayTuple", "is_namedarraytuple", "namedarraytuple"]

_RESERVED = frozenset({"items", "count", "index"})


def _shape(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"shape {tuple(shape)}" if shape is not None else type(value).__name__


def _getitem(self: Any, loc: Any) -> Any:
    try:
        return tuple.__new__(type(self), [None if field is None else field[loc] for field in self])
    except (IndexError, TypeError) as error:
        raise _field_error(self, loc, error) from error


def _field_error(self: Any, loc: Any, error: Exception) -> Exception:
    """Find the field that refuses ``loc`` and say so."""
    for name, field in zip(self._fields, self, strict=True):
        if field is None:
            continue
        try:
            field[loc]
        except type(error) as cause:
            return type(error)(
                f"{type(self).__name__}.{name} ({_shape(field)}) at [{loc!r}]: {cause}"
            )
    return error


def _setitem(self: Any, loc: Any, value: Any) -> None:
    values: Any = value
    if not isinstance(value, tuple):
        values = [value] * len(self)
    elif getattr(value, "_fields", None) != self._fields:
        found = getattr(value, "_fields", None) or f"a bare tuple of {len(value)}"
        raise TypeError(
            f"{type(self).__name__}[{loc!r}] = {type(value).__name__}: the fields differ: "
            f"expected {self._fields}, found {found}"
        )
    position, field, new = 0, None, None
    try:
        for position, (field, new) in enumerate(zip(self, values, strict=True)):  # noqa: B007  # named below
            if field is not None and new is not None:
                field[loc] = new
    except (IndexError, ValueError, RuntimeError, TypeError) as error:
        raise type(error)(
            f"{type(self).__name__}.{self._fields[position]} ({_shape(field)})[{loc!r}] = "
            f"{_shape(new)}: {error}"
        ) from error


def _contains(self: Any, name: object) -> bool:
    return name in self._fields


def _items(self: Any) -> Iterator[tuple[str, Any]]:
    return zip(self._fields, self, strict=True)


def _check_fields(typename: str, fields: Iterable[str]) -> None:
    for field in fields:
        if field in _RESERVED:
            raise ValueError(
                f"{typename}: field name {field!r} is taken by a method; choose another"
            )


def _make_class(typename: str, fields: tuple[str, ...], defaults: list[Any], module: str) -> Any:
    _check_fields(typename, fields)
    make: Any = namedtuple  # as Any: type checkers want the names written out
    cls = make(typename, fields, defaults=defaults, module=module)
    cls.__getitem__ = _getitem
    cls.__setitem__ = _setitem
    cls.__contains__ = _contains
    cls.items = _items
    return cls


if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True)
    class _NamedArrayTupleMeta(type):
        """What a type checker sees: fields become constructor arguments."""

    class NamedArrayTuple(metaclass=_NamedArrayTupleMeta):
        """What a type checker sees of a declared struct of arrays."""

        _fields: ClassVar[tuple[str, ...]]

        def __getitem__(self, loc: Any) -> Self: ...
        def __setitem__(self, loc: Any, value: Any) -> None: ...
        def __contains__(self, name: str) -> bool: ...
        def __iter__(self) -> Iterator[Any]: ...
        def __len__(self) -> int: ...
        def items(self) -> Iterator[tuple[str, Any]]:
            """(field name, field) pairs."""
            ...

        def _replace(self, **fields: Any) -> Self: ...
        @classmethod
        def _make(cls, values: Iterable[Any]) -> Self: ...
        def _asdict(self) -> dict[str, Any]: ...

else:

    class _NamedArrayTupleMeta(type):
        """Turns a class body into a named tuple; the result is an instance of ``type``, not of this
        metaclass.
        """

        def __new__(mcs, name, bases, namespace):
            if not bases:
                return super().__new__(mcs, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", {}))
            required = [field for field in fields if field not in namespace]
            if tuple(required) != fields[: len(required)]:
                raise TypeError(f"{name}: a field without a default follows one that has a default")
            defaults = [namespace[field] for field in fields[len(required) :]]
            cls = _make_class(name, fields, defaults, namespace["__module__"])
            for key, value in namespace.items():
                if key not in fields and key not in {"__annotations__", "__module__", "__slots__"}:
                    setattr(cls, key, value)
            return cls

        def __instancecheck__(cls, instance):
            return is_namedarraytuple(instance)

    class NamedArrayTuple(metaclass=_NamedArrayTupleMeta):
        """Base for declaring a struct of arrays: ``class Step(NamedArrayTuple): observation:
        Tensor; reward: Tensor``.

        Fields are arrays, tensors, other NamedArrayTuples, or ``None`` (skipped by every
        operation).

        Raises:
            TypeError: on assignment from a struct with other field names.
            IndexError: naming the field, when one is out of bounds.
        """


def is_namedarraytuple(value: object) -> TypeGuard["NamedArrayTuple"]:
    """Whether ``value`` is an instance of a NamedArrayTuple class."""
    return type(value).__getitem__ is _getitem if isinstance(value, tuple) else False


def _rebuild(typename: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return namedarraytuple(typename, fields)._make(values)


def _reduce(self: Any) -> tuple[Any, ...]:
    return _rebuild, (type(self).__name__, self._fields, tuple(self))


@cache
def _runtime_class(typename: str, fields: tuple[str, ...]) -> Any:
    cls = _make_class(typename, fields, [], __name__)
    cls.__reduce__ = (
        _reduce  # the class is no module attribute: pickle rebuilds it from its name and fields
    )
    return cls


def namedarraytuple(typename: str, fields: Iterable[str]) -> Any:
    """The NamedArrayTuple class for field names known only at run time, e.g. the keys of a Dict
    space.

    The same (typename, fields) always gives the same class. Instances pickle under ``spawn``.

    Raises:
        ValueError: for a field name that is not an identifier, starts with ``_`` or is a method's.
    """
    return _runtime_class(typename, tuple(fields))
