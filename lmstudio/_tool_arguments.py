"""Makes the arguments of a tool out of what a model wrote, as the tool's annotations say."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ._annotations import SCALARS, CopyOf, fields_of
from ._typed import from_json
from .errors import LMStudioValueError

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["parameters_class", "read_arguments"]

_IS_PARAMETERS = "_lmstudio_tool"
_PLACE = "$"  # stands for the name of an argument in an error


def parameters_class(name: str, parameters: Mapping[str, Any]) -> type:
    """Return an attrs class whose fields are the parameters of a tool.

    Args:
        name: The name of the tool.
        parameters: The type of each by name, or ``{"type": ..., "default": ...}``.

    Raises:
        LMStudioValueError: An entry has no type, or a name cannot be that of an argument.
    """
    fields: dict[str, Any] = {}
    for key, entry in parameters.items():
        options: dict[str, Any] = {"type": entry, "alias": key}
        if isinstance(entry, Mapping):
            if "type" not in entry:
                raise LMStudioValueError(f"the parameter {key!r} has no 'type'")
            options["type"] = entry["type"]
            if "default" in entry:
                default = entry["default"]
                is_mutable = isinstance(default, (list, dict, set))
                options["default"] = attrs.Factory(CopyOf(default)) if is_mutable else default
        if not isinstance(key, str) or not key.isidentifier():
            raise LMStudioValueError(f"{key!r} cannot be the name of a parameter")
        fields[key] = attrs.field(**options)
    cls: type = attrs.make_class(f"{name}_parameters", fields, kw_only=True, slots=False)
    cls.__doc__ = None
    setattr(cls, _IS_PARAMETERS, True)
    return cls


def read_arguments(arguments: Any, parameters: type | None) -> dict[str, Any]:
    """Return the arguments by name, with defaults, and values of the annotated types.

    A model's small mistakes are borne: ``"3"`` for a number, 3 for a text, arguments that the tool
    does not have.

    Args:
        arguments: What the model wrote, as JSON data.
        parameters: What `parameters_class` returned; None: pass them on as they are.

    Raises:
        LMStudioValueError: They do not fit; the text names each place, for the model to try again.
    """
    if not isinstance(arguments, Mapping):
        raise LMStudioValueError(f"expected an object with arguments, got {arguments!r}")
    if parameters is None:
        return dict(arguments)
    try:
        value: Any = _converter().structure(arguments, parameters)
    except Exception as error:  # cattrs' group of errors, one for each argument
        raise LMStudioValueError("; ".join(_problems(error))) from error
    return {field.name: getattr(value, field.name) for field in fields_of(parameters)}


@functools.cache
def _converter() -> Converter:
    from cattrs import Converter  # slow to import, and most programs have no tools

    def read(data: Any, tp: Any) -> Any:
        # What has a schema can be read: one reader for arguments and for structured replies.
        return from_json(data, tp, _PLACE, coerce=True)

    converter = Converter(detailed_validation=True)
    converter.register_structure_hook_func(lambda tp: not hasattr(tp, _IS_PARAMETERS), read)
    for scalar in SCALARS:  # cattrs has hooks of its own for these, and prefers them
        converter.register_structure_hook(scalar, read)
    return converter


def _problems(error: BaseException) -> Iterator[str]:
    """Say what is wrong with each argument."""
    for problem in getattr(error, "exceptions", (error,)):
        if isinstance(problem, KeyError):
            yield f"{problem.args[0]}: missing"
        else:
            notes = getattr(problem, "__notes__", ())
            names = [note.name for note in notes if hasattr(note, "name")]
            yield str(problem).replace(_PLACE, names[0] if names else "arguments", 1)
