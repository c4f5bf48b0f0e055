"""Tools that a model may call: how users define them, and what a model is told of them."""

import contextlib
import inspect
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeAlias, TypedDict, TypeVar, get_args

import attrs

from .._api.backports import Self
from .._api.public import public
from .._api.shown import shortened, shown
from .._json.annotations import is_union, to_json_data, unwrap
from ..errors import LMStudioValueError
from .tool_annotations import annotated_parameters, without_partial
from .tool_arguments import (
    BY_NAME,
    Parameters,
    SchemaParameters,
    is_lambda,
    name_and_doc,
    parameters_of,
)
from .tool_context import TakesContext, ToolCallContext

if sys.version_info >= (3, 11):
    from typing import NotRequired

logger = logging.getLogger(__name__)

T = TypeVar("T")


class _ToolFunctionDefRequired(TypedDict):
    name: str
    """What the model calls it."""
    description: str
    """What it does, for the model."""
    parameters: Mapping[str, Any]
    """The type of each parameter by name, or ``{"type": ..., "default": ...}``."""


class ToolFunctionDefDict(_ToolFunctionDefRequired, total=False):
    """`ToolFunctionDef` as a dict."""

    implementation: Callable[..., Any] | None
    """Called with the arguments by name; None: the tool is described only."""


if sys.version_info >= (3, 11):

    class ToolParamDefDict(TypedDict, Generic[T]):
        """A parameter of a tool, as `ToolFunctionDef` takes it where it has a default."""

        type: type[T]
        """Its type."""
        default: NotRequired[T]
        """What it is if the model does not give it."""

    ParamDefDict: TypeAlias = ToolParamDefDict[Any]
    """A parameter of a tool that may have a default."""
else:  # before, no TypedDict is generic

    class _ToolParamDefRequired(TypedDict):
        type: type[Any]

    class ToolParamDefDict(_ToolParamDefRequired, total=False):
        """A parameter of a tool, as `ToolFunctionDef` takes it where it has a default."""

        default: Any
        """What it is if the model does not give it."""

    ParamDefDict: TypeAlias = ToolParamDefDict
    """A parameter of a tool that may have a default."""


@dataclass(frozen=True, kw_only=True, slots=True)  # not of attrs: programs derive dataclasses of it
class ToolFunctionDef:
    """A tool: a function, with what a model has to know to call it.

    Attributes:
        name: What the model calls it.
        description: What it does, for the model.
        parameters: The type of each parameter by name, or ``{"type": ..., "default": ...}``.
        implementation: Called with the arguments by name. What it returns becomes JSON. None: the
            tool is described only, and a call of it ends `act()`; see
            `ActResult.pending_tool_calls`.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    implementation: Callable[..., Any] | None = None

    @classmethod
    def from_callable(
        cls, f: Callable[..., Any], *, name: str | None = None, description: str | None = None
    ) -> Self:
        """Read a definition off a function: its name, docstring, annotations and defaults.

        Args:
            f: The function.
            name: Instead of its own name.
            description: Instead of its docstring.

        Raises:
            LMStudioValueError: Something that the model needs is missing.
        """
        own_name, doc = name_and_doc(f)
        name = own_name if name is None else name
        if not callable(f):
            raise LMStudioValueError(f"A tool is made of a function; {shown(f)} was given.")
        if not isinstance(name, str):
            hint = ""
            if is_lambda(f):
                hint = " Or write a function by def, since a lambda has no annotations either."
            raise LMStudioValueError(
                f"The tool {shown(f)} has no name; use ToolFunctionDef.from_callable(f, name=...)."
                f"{hint}"
            )
        description = doc if description is None else description
        if not description:
            raise LMStudioValueError(
                f"Could not extract tool description from {shown(f)} (no docstring set): the tool "
                f"{name!r} has no description; give the function a docstring that tells the model "
                "what it does, or use ToolFunctionDef.from_callable(f, description=...)."
            )
        return cls(
            name=name,
            description=description,
            parameters=parameters_of(f, name),
            implementation=f,
        )


@attrs.frozen(kw_only=True)
class RawFunctionTool:
    """A tool whose parameters are described by a JSON Schema instead of Python types.

    Attributes:
        name: What the model calls it.
        description: What it does, for the model.
        parameters_json_schema: A schema of an object. Arguments that do not fit it are refused, and
            the model is told why; others are passed on as they come. What is checked are types,
            ``enum``, ``const``, properties, items, ``allOf``, ``anyOf``, ``oneOf``, limits of
            numbers and lengths, ``pattern``, and ``$ref`` inside the schema.
        implementation: Called with the arguments by name. None: the tool is described only, and a
            call of it ends `act()`; see `ActResult.pending_tool_calls`.
    """

    name: str
    description: str
    parameters_json_schema: Mapping[str, Any]
    implementation: Callable[..., Any] | None = None


ToolDefinition: TypeAlias = (
    ToolFunctionDef | RawFunctionTool | ToolFunctionDefDict | Mapping[str, Any] | Callable[..., Any]
)
"""A tool: a function, one of the classes, or a dict like one, or like a tool in OpenAI's API."""


public(ToolFunctionDef, ToolFunctionDefDict, ToolParamDefDict, RawFunctionTool)


@attrs.frozen
class Tool:
    """A tool as `act()` uses it.

    Attributes:
        name: What the model calls it.
        definition: What the model is told, as JSON data.
        parameters: How its arguments are read.
        implementation: The function; None: its calls are left to whoever called `act()`.
        context_parameter: The name of the parameter that takes the context, or None.
    """

    name: str
    definition: dict[str, Any]
    parameters: Parameters | SchemaParameters
    implementation: Callable[..., Any] | None = None
    context_parameter: str | None = None

    def read(self, arguments: Any) -> dict[str, Any]:
        """Return the arguments of a call as the function takes them.

        Raises:
            LMStudioValueError: They do not fit; the text is for the model.
        """
        arguments = {} if arguments is None else arguments
        if not isinstance(arguments, Mapping):
            raise LMStudioValueError(f"expected an object with arguments, got {shown(arguments)}")
        return self.parameters.read(arguments)


def prepare_tools(
    definitions: Iterable[ToolDefinition], *, may_be_async: bool = False
) -> dict[str, Tool]:
    """Return the tools by name; whether they may be coroutine functions, says who runs them.

    Raises:
        LMStudioValueError: There is none, or one cannot be used.
    """
    tools = _by_name(definitions, may_be_async)
    if not tools:
        raise LMStudioValueError(
            "Tool using actions require at least one tool to be defined. "
            "Without any, use respond()."
        )
    return tools


def described(definitions: Iterable[ToolDefinition]) -> list[dict[str, Any]]:
    """Return what a model is told of tools that nobody runs, as JSON data.

    Raises:
        LMStudioValueError: One cannot be used.
    """
    return [tool.definition for tool in _by_name(definitions, may_be_async=True).values()]


def _by_name(definitions: Iterable[ToolDefinition], may_be_async: bool) -> dict[str, Tool]:
    is_one = isinstance(definitions, (str, bytes, Mapping))
    if is_one or not isinstance(definitions, Iterable):
        name = getattr(definitions, "__name__", None) or "function"
        raise LMStudioValueError(
            f"Tools are given as a list, as [{name}]; {shown(definitions)} was given."
        )
    tools: dict[str, Tool] = {}
    for definition in definitions:
        tool = _prepare(definition, may_be_async)
        if tool.name in tools:
            raise LMStudioValueError(
                "Duplicate tool names are not permitted: there are two tools with the name "
                f"{tool.name!r}."
            )
        tools[tool.name] = tool
    return tools


def _prepare(definition: Any, may_be_async: bool) -> Tool:
    if isinstance(definition, Mapping):
        definition = _from_dict(definition)
    elif not isinstance(definition, (ToolFunctionDef, RawFunctionTool)):
        if not callable(definition):
            raise LMStudioValueError(
                "A tool is a function, a ToolFunctionDef, a RawFunctionTool or a dict like one; "
                f"{shown(definition)} was given."
            )
        definition = ToolFunctionDef.from_callable(definition)
    name, implementation = definition.name, definition.implementation
    if not isinstance(name, str) or not name:
        raise LMStudioValueError(f"The name of a tool is a text; {shown(name)} was given.")
    description = "" if definition.description is None else definition.description
    if not isinstance(description, str):
        raise LMStudioValueError(f"The description of the tool {name!r} is not a string.")
    description = inspect.cleandoc(description)
    if implementation is not None and not callable(implementation):
        raise LMStudioValueError(
            f"The implementation of the tool {name!r} is not a function: {shown(implementation)}."
        )
    if inspect.isgeneratorfunction(implementation) or inspect.isasyncgenfunction(implementation):
        raise LMStudioValueError(
            f"The tool {name!r} yields its results, and a model gets one: return them, as a list."
        )
    if is_async(implementation) and not may_be_async:
        raise LMStudioValueError(
            f"Asynchronous tool {name!r} is not supported in synchronous API: tools run in threads "
            "here, so use a plain function."
        )
    context_parameter = _context_parameter(definition)
    parameters: Parameters | SchemaParameters
    if isinstance(definition, RawFunctionTool):
        parameters = SchemaParameters(_raw_schema(definition))
    else:
        parameters = _parameters(definition, context_parameter)
    function = {"name": name, "description": description, "parameters": parameters.schema}
    wire = {"type": "function", "function": function}
    return Tool(name, wire, parameters, implementation, context_parameter)


def _from_dict(definition: Mapping[str, Any]) -> ToolFunctionDef | RawFunctionTool:
    if definition.get("type") == "function":
        return _from_openai(definition)
    is_raw = "parameters_json_schema" in definition
    cls: Any = RawFunctionTool if is_raw else ToolFunctionDef
    names = [field.name for field in (attrs.fields(cls) if is_raw else fields(cls))]
    if {"implementation", *definition} != set(names):
        raise LMStudioValueError(
            f"A tool as a dict has the keys {', '.join(names)}; "
            f"this one has {shortened(', '.join(map(str, definition))) or 'none'}."
        )
    tool: ToolFunctionDef | RawFunctionTool = cls(**definition)
    return tool


def _from_openai(definition: Mapping[str, Any]) -> RawFunctionTool:
    """Return a tool as OpenAI's API and LM Studio's have it; what has no place here is left out."""
    function = definition.get("function")
    if not isinstance(function, Mapping) or "implementation" in definition:
        raise LMStudioValueError(
            "A tool as a dict with the type 'function' is {'type': 'function', 'function': "
            "{'name': ..., 'description': ..., 'parameters': {a JSON Schema}}}; "
            f"{shown(definition)} was given. With an implementation, it is a RawFunctionTool."
        )
    description, schema = function.get("description"), function.get("parameters")
    return RawFunctionTool(
        name=function.get("name"),  # type: ignore[arg-type]  # it is checked with the others
        description="" if description is None else description,
        parameters_json_schema={} if schema is None else schema,
    )


def _raw_schema(tool: RawFunctionTool) -> dict[str, Any]:
    try:  # a server takes no schema without these two
        schema = {
            "type": "object",
            "properties": {},
            **to_json_data(dict(tool.parameters_json_schema)),
        }
    except (TypeError, ValueError, RecursionError):
        schema = {"type": None}
    if schema["type"] != "object":
        raise LMStudioValueError(
            f"The parameters_json_schema of the tool {tool.name!r} is no JSON Schema of an object: "
            f"{shown(tool.parameters_json_schema)}."
        )
    return schema


def _parameters(tool: ToolFunctionDef, context_parameter: str | None) -> Parameters:
    if not isinstance(tool.parameters, Mapping):
        raise LMStudioValueError(
            f"The parameters of the tool {tool.name!r} are a dict of types by name; "
            f"{shown(tool.parameters)} was given."
        )
    types = {key: entry for key, entry in tool.parameters.items() if key != context_parameter}
    try:
        return Parameters(types)
    except LMStudioValueError as error:
        raise LMStudioValueError(f"The tool {tool.name!r} cannot be offered: {error}") from None


def is_async(function: Any) -> bool:
    """Return whether calling it gives something to be awaited."""
    function = without_partial(function)
    of_object = type(function).__call__  # where it is no function
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(of_object)


def _is_context(tp: Any) -> bool:
    tp, _ = unwrap(tp)
    return tp is ToolCallContext or (is_union(tp) and ToolCallContext in get_args(tp))


def _context_parameter(tool: ToolFunctionDef | RawFunctionTool) -> str | None:
    """Return the parameter that asks for the context; a definition need not tell of it.

    Raises:
        LMStudioValueError: There are two.
    """
    implementation: object = tool.implementation
    if isinstance(implementation, TakesContext):
        return implementation.context_parameter
    found: list[str] = []
    if isinstance(tool, ToolFunctionDef) and isinstance(tool.parameters, Mapping):
        for key, entry in tool.parameters.items():
            if _is_context(entry.get("type") if isinstance(entry, Mapping) else entry):
                found.append(key)
    with contextlib.suppress(Exception):  # there is none, or its annotations are its own business
        for parameter, tp in annotated_parameters(tool.implementation):
            if _is_context(tp) and parameter.kind in BY_NAME and parameter.name not in found:
                found.append(parameter.name)
    if len(found) > 1:
        raise LMStudioValueError(
            f"The tool {tool.name!r} asks for a ToolCallContext twice: {' and '.join(found)}."
        )
    return found[0] if found else None
