"""Tools that a model may call: how users define them, and what a running tool is told."""

from __future__ import annotations

import copy
import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, get_args, get_type_hints

import attrs

from ._annotations import bare, is_union
from ._chat_messages import ToolCallRequest
from ._tool_arguments import parameters_class, read_arguments
from .cancellation import CancelToken
from .errors import LMStudioRuntimeError, LMStudioValueError
from .schema import json_schema

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "GuardToolCallController",
    "RawFunctionTool",
    "Tool",
    "ToolCallContext",
    "ToolDefinition",
    "ToolFunctionDef",
    "ToolFunctionDefDict",
    "prepare_tools",
]

logger = logging.getLogger(__name__)


class ToolCallContext:
    """What a running tool is told, and what it may say; for a parameter with this annotation.

    ::

        def search(query: str, context: lmstudio.ToolCallContext) -> str:
            \"\"\"Search the files.\"\"\"
            context.status("reading the index")
            context.cancel_token.raise_if_cancelled()

    The model does not see the parameter, nor what is said here.

    Thread safety: all threads, also those that the tool starts.

    Attributes:
        call_id: The number of the call, unique in one `act()`.
        round_index: The round of predictions that asked for it, from 0.
        cancel_token: Cancelled when `act()` is, and when the tool's time is over. Wait with
            ``cancel_token.wait(seconds)``, or register ``cancel_token.on_cancel(callback)``.
    """

    __slots__ = ("_report", "call_id", "cancel_token", "round_index")

    def __init__(
        self,
        call_id: int,
        round_index: int,
        cancel_token: CancelToken,
        report: Callable[[str, str], object],
    ) -> None:
        """Tell a tool about its call; `act()` makes contexts.

        Args:
            call_id: The number of the call.
            round_index: The round that asked for it.
            cancel_token: What the tool should look at.
            report: Called with ``status`` or ``warning``, and the text.
        """
        self.call_id = call_id
        self.round_index = round_index
        self.cancel_token = cancel_token
        self._report = report

    def status(self, text: str) -> None:
        """Say how far the tool is; `act()` passes it to `on_tool_call_status`."""
        logger.debug("tool call %d: status %r", self.call_id, text)
        self._report("status", text)

    def warn(self, text: str) -> None:
        """Say that something went wrong that the tool coped with; see `on_tool_call_warning`."""
        logger.debug("tool call %d: warning %r", self.call_id, text)
        self._report("warning", text)


class ToolFunctionDefDict(TypedDict):
    """`ToolFunctionDef` as a dict."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    implementation: Callable[..., Any]


@attrs.frozen(kw_only=True)
class ToolFunctionDef:
    """A tool: a function, with what a model has to know to call it.

    Attributes:
        name: What the model calls it.
        description: What it does, for the model.
        parameters: The type of each parameter by name, or ``{"type": ..., "default": ...}``.
        implementation: Called with the arguments by name. What it returns becomes JSON.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    implementation: Callable[..., Any]

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
        function = f.func if isinstance(f, functools.partial) else f
        name = getattr(function, "__name__", None) if name is None else name
        if not isinstance(name, str):
            raise LMStudioValueError(
                f"The tool {f!r} has no name; use ToolFunctionDef.from_callable(f, name=...)."
            )
        if description is None:
            description = getattr(function, "__doc__", None)
        if not description:
            raise LMStudioValueError(
                f"The tool {name!r} has no description; give the function a docstring that tells "
                "the model what it does, or use ToolFunctionDef.from_callable(f, description=...)."
            )
        return cls(
            name=name,
            description=description,
            parameters=_parameters_of(f, function, name),
            implementation=f,
        )


@attrs.frozen(kw_only=True)
class RawFunctionTool:
    """A tool whose parameters are described by a JSON Schema instead of Python types.

    Attributes:
        name: What the model calls it.
        description: What it does, for the model.
        parameters_json_schema: A schema of an object. Arguments are passed on as they come: nothing
            is checked but that they are an object.
        implementation: Called with the arguments by name.
    """

    name: str
    description: str
    parameters_json_schema: Mapping[str, Any]
    implementation: Callable[..., Any]


ToolDefinition: TypeAlias = (
    ToolFunctionDef | RawFunctionTool | ToolFunctionDefDict | Callable[..., Any]
)


class GuardToolCallController:
    """One tool call that waits for permission: call `allow`, `deny`, or the third method, once.

    Thread safety: for the callback `guard_tool_call`, in its thread.

    Attributes:
        tool_call_request: What the model asks for.
        call_id: The number of the call, unique in one `act()`.
        round_index: The round of predictions that asked for it, from 0.
        cancel_token: Cancelled when `act()` is; for a guard that waits for a person.
    """

    def __init__(
        self,
        tool_call_request: ToolCallRequest,
        call_id: int,
        round_index: int,
        cancel_token: CancelToken,
    ) -> None:
        """Ask about a call; `act()` makes controllers."""
        self.tool_call_request = tool_call_request
        self.call_id = call_id
        self.round_index = round_index
        self.cancel_token = cancel_token
        self._decision: tuple[str, Any] | None = None

    def allow(self) -> None:
        """Let the tool run.

        Raises:
            LMStudioRuntimeError: It was decided before.
        """
        self._decide("allow", None)

    def allow_and_override_parameters(self, new_parameters: Mapping[str, Any]) -> None:
        """Let the tool run with other arguments; the chat will show these.

        Raises:
            LMStudioRuntimeError: It was decided before.
            LMStudioValueError: They are no mapping.
        """
        if not isinstance(new_parameters, Mapping):
            raise LMStudioValueError(
                f"The arguments of a tool are a dict; {new_parameters!r} was given."
            )
        self._decide("override", copy.deepcopy(dict(new_parameters)))

    def deny(self, reason: str = "The user denied the tool call.") -> None:
        """Do not let the tool run; the model is told the reason, and goes on.

        Raises:
            LMStudioRuntimeError: It was decided before.
        """
        self._decide("deny", reason)

    def _decide(self, decision: str, detail: Any) -> None:
        if self._decision is not None:
            raise LMStudioRuntimeError("It was decided before whether this tool call may go on.")
        self._decision = (decision, detail)


@attrs.frozen
class Tool:
    """A tool as `act()` uses it.

    Attributes:
        name: What the model calls it.
        definition: What the model is told, as JSON data.
        implementation: The function.
        parameters: An attrs class of its parameters; None: arguments are passed as they come.
        context_parameter: The name of the parameter that takes the context, or None.
    """

    name: str
    definition: dict[str, Any]
    implementation: Callable[..., Any]
    parameters: type | None = None
    context_parameter: str | None = None

    def read(self, arguments: Any) -> dict[str, Any]:
        """Return the arguments of a call as the function takes them.

        Raises:
            LMStudioValueError: They do not fit; the text is for the model.
        """
        return read_arguments({} if arguments is None else arguments, self.parameters)


def prepare_tools(definitions: Iterable[ToolDefinition]) -> dict[str, Tool]:
    """Return the tools by name.

    Raises:
        LMStudioValueError: There is none, or one cannot be used.
    """
    if isinstance(definitions, Mapping) or not isinstance(definitions, Iterable):
        raise LMStudioValueError(f"Tools are given as a list; {definitions!r} was given.")
    tools: dict[str, Tool] = {}
    for definition in definitions:
        tool = _prepare(definition)
        if tool.name in tools:
            raise LMStudioValueError(f"There are two tools with the name {tool.name!r}.")
        tools[tool.name] = tool
    if not tools:
        raise LMStudioValueError("act() needs at least one tool; without any, use respond().")
    return tools


def _prepare(definition: Any) -> Tool:
    if isinstance(definition, Mapping):
        definition = _from_dict(definition)
    elif not isinstance(definition, (ToolFunctionDef, RawFunctionTool)):
        if not callable(definition):
            raise LMStudioValueError(
                "A tool is a function, a ToolFunctionDef, a RawFunctionTool or a dict like one; "
                f"{definition!r} was given."
            )
        definition = ToolFunctionDef.from_callable(definition)
    name, implementation = definition.name, definition.implementation
    if not isinstance(name, str) or not name:
        raise LMStudioValueError(f"The name of a tool is a text; {name!r} was given.")
    if not isinstance(definition.description, str):
        raise LMStudioValueError(f"The description of the tool {name!r} is no text.")
    description = inspect.cleandoc(definition.description)
    if not callable(implementation):
        raise LMStudioValueError(
            f"The implementation of the tool {name!r} is no function: {implementation!r}."
        )
    if _is_async(implementation):
        raise LMStudioValueError(
            f"The tool {name!r} is asynchronous; tools run in threads here: use a plain function."
        )
    if isinstance(definition, RawFunctionTool):
        schema = dict(definition.parameters_json_schema)
        parameters, context_parameter = None, _context_parameter(implementation)
    else:
        types, context_parameter = dict(definition.parameters), _context_parameter(implementation)
        for key, entry in definition.parameters.items():
            if _is_context(entry.get("type") if isinstance(entry, Mapping) else entry):
                context_parameter = key
                del types[key]
        try:
            parameters = parameters_class(name, types)
            schema = json_schema(parameters)
        except LMStudioValueError as error:
            raise LMStudioValueError(f"The tool {name!r} cannot be offered: {error}") from None
        schema.pop("title", None)
    function = {"name": name, "description": description, "parameters": schema}
    wire = {"type": "function", "function": function}
    return Tool(name, wire, implementation, parameters, context_parameter)


def _from_dict(definition: Mapping[str, Any]) -> ToolFunctionDef | RawFunctionTool:
    is_raw = "parameters_json_schema" in definition
    cls: Any = RawFunctionTool if is_raw else ToolFunctionDef
    names = {field.name for field in attrs.fields(cls)}
    if set(definition) != names:
        raise LMStudioValueError(
            f"A tool as a dict has the keys {', '.join(sorted(names))}; "
            f"this one has {', '.join(map(str, definition)) or 'none'}."
        )
    tool: ToolFunctionDef | RawFunctionTool = cls(**definition)
    return tool


def _is_async(function: Any) -> bool:
    of_object = type(function).__call__  # where it is no function
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(of_object)


def _parameters_of(f: Any, function: Any, name: str) -> dict[str, Any]:
    try:
        is_plain = inspect.isroutine(function) or inspect.isclass(function)
        hints = get_type_hints(function if is_plain else function.__call__, include_extras=True)
        signature = inspect.signature(f)
    except Exception as error:
        raise LMStudioValueError(
            f"The parameters of the tool {name!r} cannot be read: {error}"
        ) from error
    parameters: dict[str, Any] = {}
    for key, parameter in signature.parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise LMStudioValueError(
                f"The tool {name!r} takes {parameter}: a model can only name arguments."
            )
        if key not in hints:
            raise LMStudioValueError(
                f"The parameter {key!r} of the tool {name!r} has no annotation; "
                "the model has to know its type."
            )
        is_required = parameter.default is parameter.empty
        parameters[key] = (
            hints[key] if is_required else {"type": hints[key], "default": parameter.default}
        )
    return parameters


def _is_context(tp: Any) -> bool:
    tp, _ = bare(tp)
    return tp is ToolCallContext or (is_union(tp) and ToolCallContext in get_args(tp))


def _context_parameter(implementation: Any) -> str | None:
    """Return the parameter that asks for the context, of a function described by other means."""
    try:
        hints = get_type_hints(implementation)
    except Exception:  # its annotations are its own business then
        return None
    return next((key for key, tp in hints.items() if _is_context(tp) and key != "return"), None)
