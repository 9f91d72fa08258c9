"""From a configuration written down back to components: the inverse of
:func:`rlpyt.utils.config.config_dict`.
"""

import importlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from rlpyt.utils.convert import convert
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["component_from"]


def component_from(config: Mapping[str, Any], place: str) -> Any:
    """The component that ``config`` describes: ``{"class": dotted path, field: value, ...}``,
    recursively.

    Only dataclasses are built, and only from fields that they declare.

    Raises:
        RlpytError: naming ``place`` and the path inside, for a class that is not there or no
        dataclass, an unknown
            field, or a value of the wrong type.
    """
    cls = _component_class(str(config.get("class")), place)
    hints = get_type_hints(cls)
    known = {field.name for field in fields(cls) if field.init}
    arguments = {}
    for name, value in config.items():
        if name == "class":
            continue
        if name not in known:
            raise RlpytError(
                "config",
                f"{cls.__name__} has no field {name!r}",
                where=place,
                hint=did_you_mean(name, known),
            )
        inner = f"{place}: {name}"
        if isinstance(value, Mapping) and "class" in value:
            arguments[name] = component_from(value, inner)
        else:
            arguments[name] = convert(value, hints[name], inner)
    return cls(**arguments)


def _component_class(path: str, place: str) -> Any:
    module, _dot, name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RlpytError(
            "config",
            f"cannot find the class {path}: {error}",
            where=place,
            hint="run from where its module can be imported, or rerun the script with resume=True",
        ) from error
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise RlpytError("config", f"{path} is not a component (a dataclass)", where=place)
    return cls
