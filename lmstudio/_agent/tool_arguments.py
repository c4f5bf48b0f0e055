"""Reads a tool's annotations, and makes its arguments out of what a model wrote."""

from __future__ import annotations

import builtins
import copy
import inspect
from collections.abc import Mapping
from typing import Any

import attrs

from .._api.shown import shortened, shown
from .._json.annotations import Field
from .._json.from_json import from_json
from .._json.json_schema import object_schema
from .._json.schema_check import schema_problems
from ..errors import LMStudioValueError
from .tool_annotations import annotated_parameters, with_annotations, without_partial

_WRAP_IT = "Write a function around it, with annotated parameters and a docstring."
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def name_and_doc(f: Any) -> tuple[str | None, str | None]:
    """Return what a function is called, and its docstring, as far as it has them."""
    function = without_partial(f)
    name = getattr(function, "__name__", None)
    doc = function.__doc__ or with_annotations(function).__doc__
    return (None if is_lambda(f) else name), doc


def is_lambda(f: Any) -> bool:
    """Return whether it is a function without a name."""
    return getattr(without_partial(f), "__name__", None) == "<lambda>"


def parameters_of(f: Any, name: str) -> dict[str, Any]:
    """Return what `Parameters` takes, for the function of the tool `name`.

    Raises:
        LMStudioValueError: A model cannot know how to call it.
    """
    try:
        annotated = list(annotated_parameters(f))
    except Exception as error:
        # Python says so of functions of C that tell nothing of themselves.
        hint = f". {_WRAP_IT}" if type(error) is ValueError else ""
        raise LMStudioValueError(
            f"The parameters of the tool {name!r} cannot be read: {error}{hint}"
        ) from error
    parameters: dict[str, Any] = {}
    # A list: Ctrl-C while a generator is closed would be told to nobody.
    has_types = any([tp is not p.empty for p, tp in annotated if p.kind in BY_NAME])
    for parameter, tp in annotated:
        key, default = parameter.name, parameter.default
        if parameter.kind not in BY_NAME:
            if has_types and parameter.kind is not parameter.POSITIONAL_ONLY:
                continue  # it takes more than a model is told of
            raise LMStudioValueError(
                f"The tool {name!r} takes {shortened(str(parameter))}: a model can only name "
                f"arguments. {_WRAP_IT}"
            )
        if tp is parameter.empty:
            if key == "self":
                raise LMStudioValueError(
                    f"The tool {name!r} needs a 'self': of a class, give the method of an object."
                )
            tp = Any
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
        self._fields = [_field(key, entry) for key, entry in parameters.items()]
        self.schema = object_schema(self._fields, "parameters")

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
        for field in self._fields:
            key, default = field.name, field.default
            try:
                if key in arguments and not (arguments[key] is default is None):
                    values[key] = from_json(arguments[key], field.type, key, coerce=True)
                elif not field.is_required:
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


class SchemaParameters:
    """The parameters of a tool that a JSON Schema describes; read as those of `Parameters` are.

    Thread safety: all threads; nothing changes.

    Attributes:
        schema: The JSON Schema of an object.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        """Take the schema, as JSON data."""
        self.schema = schema

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as they are.

        Args:
            arguments: What the model wrote, as JSON data.

        Raises:
            LMStudioValueError: They do not fit; the text names each place.
        """
        values = dict(arguments)
        problems = schema_problems(values, self.schema)
        if problems:
            raise LMStudioValueError("; ".join(problems))
        return values


def _field(key: object, entry: Any) -> Field:
    """Return a parameter, given its type, or ``{"type": ..., "default": ...}``.

    Raises:
        LMStudioValueError: The name cannot be that of an argument, or there is no such type.
    """
    if not isinstance(key, str) or not key.isidentifier():
        raise LMStudioValueError(f"{shown(key)} cannot be the name of a parameter")
    if not isinstance(entry, Mapping):
        entry = {"type": entry}
    if "type" not in entry:
        raise LMStudioValueError(f"the parameter {shown(key)} has no 'type'")
    tp = entry["type"]
    if isinstance(tp, str):
        tp = getattr(builtins, tp, None)
        if not isinstance(tp, type):
            raise LMStudioValueError(
                f"the type of the parameter {key!r} is a Python type, as int, not "
                f"{shown(entry['type'])} (for a JSON Schema there is RawFunctionTool)"
            )
    return Field(key, key, tp, "default" not in entry, entry.get("default", attrs.NOTHING))
