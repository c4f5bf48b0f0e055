"""Reads a tool's annotations, and makes its arguments out of what a model wrote."""

from __future__ import annotations

import builtins
import contextlib
import copy
import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

from .._json.annotations import fields_of, to_json_data
from .._json.from_json import from_json
from .._json.json_schema import json_schema
from ..errors import LMStudioValueError

_REQUIRED: Any = object()
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def name_and_doc(f: Any) -> tuple[str | None, str | None]:
    """Return what a function is called, and its docstring, as far as it has them."""
    function = _without_partial(f)
    name = getattr(function, "__name__", None)
    doc = function.__doc__ or _with_annotations(function).__doc__
    return (None if name == "<lambda>" else name), doc


def _without_partial(f: Any) -> Any:
    return _without_partial(f.func) if isinstance(f, functools.partial) else f


def _with_annotations(function: Any) -> Any:
    """Return what bears the annotations: of an object that can be called, its method."""
    is_plain = inspect.isroutine(function) or inspect.isclass(function)
    return function if is_plain else getattr(function, "__call__", function)  # noqa: B004


def annotated_parameters(f: Any) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Yield each parameter with its type, or with ``Parameter.empty``.

    Raises:
        Exception: What Python says of a function without a signature, or of an annotation that
            cannot be evaluated.
    """
    hints = get_type_hints(_with_annotations(_without_partial(f)), include_extras=True)
    for parameter in inspect.signature(f).parameters.values():
        yield parameter, hints.get(parameter.name, parameter.empty)


def parameters_of(f: Any, name: str) -> dict[str, Any]:
    """Return what `Parameters` takes, for the function of the tool `name`.

    Raises:
        LMStudioValueError: A model cannot know how to call it.
    """
    try:
        annotated = list(annotated_parameters(f))
    except Exception as error:
        raise LMStudioValueError(
            f"The parameters of the tool {name!r} cannot be read: {error}"
        ) from error
    parameters: dict[str, Any] = {}
    for parameter, tp in annotated:
        key, default = parameter.name, parameter.default
        if parameter.kind not in BY_NAME:
            raise LMStudioValueError(
                f"The tool {name!r} takes {parameter}: a model can only name arguments."
            )
        if tp is parameter.empty:
            hint = " (of a class, give the method of an object)" if key == "self" else ""
            raise LMStudioValueError(
                f"The parameter {key!r} of the tool {name!r} has no annotation; "
                f"the model has to know its type{hint}."
            )
        parameters[key] = tp if default is parameter.empty else {"type": tp, "default": default}
    return parameters


class Parameters:
    """The parameters of a tool: what a model is told of them, and how its arguments are read.

    Thread safety: all threads; nothing changes.

    Attributes:
        schema: The JSON Schema of an object with a property for each.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Take the type of each by name, or ``{"type": ..., "default": ...}``.

        Raises:
            LMStudioValueError: An entry has no type that JSON has a form for, or a name cannot be
                that of an argument.
        """
        types, defaults = {}, {}
        for key, entry in parameters.items():
            if not isinstance(key, str) or not key.isidentifier():
                raise LMStudioValueError(f"{key!r} cannot be the name of a parameter")
            if isinstance(entry, Mapping):
                if "type" not in entry:
                    raise LMStudioValueError(f"the parameter {key!r} has no 'type'")
                types[key] = entry["type"]
                if "default" in entry:
                    defaults[key] = entry["default"]
            else:
                types[key] = entry
            tp = types[key]
            if isinstance(tp, str) and not isinstance(getattr(builtins, tp, None), type):
                raise LMStudioValueError(
                    f"the type of the parameter {key!r} is a Python type, as int, not {tp!r} "
                    "(for a JSON Schema there is RawFunctionTool)"
                )
        # Read like a TypedDict, whose keys may have any names.
        members = {"__annotations__": types, "__required_keys__": types.keys() - defaults.keys()}
        cls = type("parameters", (), members)
        self.schema = json_schema(cls)
        del self.schema["title"]
        for key, default in defaults.items():
            with contextlib.suppress(TypeError, ValueError):  # JSON has no form for it
                told = self.schema["properties"][key]
                self.schema["properties"][key] = {**told, "default": to_json_data(default)}
        self._types = {field.name: field.type for field in fields_of(cls)}
        self._defaults = defaults

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, with defaults, and values of the annotated types.

        A model's small mistakes are borne: ``"3"`` for a number, 3 for a text, arguments that the
        tool does not have. So is null where None is the default (``a: int = None``).

        Args:
            arguments: What the model wrote, as JSON data.

        Raises:
            LMStudioValueError: They do not fit; the text names each place, for the model to try
                again.
        """
        values: dict[str, Any] = {}
        problems: list[Exception] = []
        for key, tp in self._types.items():
            try:
                default = self._defaults.get(key, _REQUIRED)
                if key in arguments and not (arguments[key] is default is None):
                    values[key] = from_json(arguments[key], tp, key, coerce=True)
                elif default is not _REQUIRED:
                    is_mutable = isinstance(default, (list, dict, set))
                    values[key] = copy.deepcopy(default) if is_mutable else default
                else:
                    raise LMStudioValueError(f"{key}: missing")
            except LMStudioValueError as problem:
                problems.append(problem)
            except RecursionError:
                problems.append(LMStudioValueError(f"{key}: nested too deeply"))
        if problems:
            raise LMStudioValueError("; ".join(map(str, problems))) from problems[0]
        return values
