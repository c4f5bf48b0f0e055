"""What cannot be a tool, and what the user is told then."""

import functools

import pytest

import lmstudio as lms
from lmstudio._agent.tools import prepare_tools


def yielding(a: int):
    """Count."""
    yield a


def no_docstring(a: int):
    return a


def many(*args: int):
    """Do it."""


def by_any_name(**kwargs: int):
    """Do it."""


def by_position(a: int, /):
    """Do it."""


def unknown_type(a: "Unknown"):  # noqa: F821
    """Do it."""


def no_json(a: functools.partial):
    """Do it."""


def two_contexts(a: lms.ToolCallContext, b: lms.ToolCallContext | None = None):
    """Do it."""


async def later(a: int):
    """Do it."""


class Later:
    """Does it later."""

    async def __call__(self):
        pass


class Holder:
    def method(self, a: int):
        """Do it."""


def fine(a: int):
    """Do it."""


FINE = {
    "name": "fine",
    "description": "Do it.",
    "parameters": {"a": int},
    "implementation": lambda a: a,
}
RAW = {
    "name": "raw",
    "description": "Do it.",
    "parameters_json_schema": {},
    "implementation": lambda a: a,
}


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([], "at least one tool to be defined. Without any, use respond()"),
        (fine, "given as a list, as [fine]; <function fine"),
        (FINE, "given as a list, as [function]; {'name'"),
        (None, "given as a list, as [function]; None"),
        (lms.ToolFunctionDef(**FINE), "given as a list, as [function]; ToolFunctionDef("),
        ("fine", "given as a list, as [function]; 'fine' was given"),
        ([None], "a RawFunctionTool or a dict like one; None was given"),
        ([fine, FINE], "two tools with the name 'fine'"),
        ([no_docstring], "'no_docstring' has no description; give the function a docstring"),
        ([Holder.method], "The tool 'method' needs a 'self': of a class, give the method of an ob"),
        ([many], "takes *args: int: a model can only name arguments"),
        ([print], "Write a function around it, with annotated param"),
        ([by_any_name], "takes **kwargs: int: a model can only name arguments"),
        ([by_position], "'by_position' takes a: int: a model can only name arguments"),
        ([unknown_type], "'unknown_type' cannot be read: name 'Unknown' is not defined"),
        ([yielding], "The tool 'yielding' yields its results, and a model gets one: return them"),
        ([no_json], "'no_json' cannot be offered: parameters.a: there is no JSON Schema for"),
        ([two_contexts], "asks for a ToolCallContext twice: a and b"),
        ([lambda a: a], "has no name; use ToolFunctionDef.from_callable(f, name=...)"),
        ([lambda a: a], "Or write a function by def, since a lambda has no annotations either"),
        ([max], "'max' cannot be read: no signature"),
        ([max], "Write a function around it, with annotated parameters and a docstring"),
        ([later], "Asynchronous tool 'later' is not supported in synchronous API"),
        ([functools.partial(later, 1)], "tool 'later' is not supported"),
        ([{**FINE, "implementation": Later()}], "tool 'fine' is not supported"),
        ([{**FINE, "implementation": 5}], "implementation of the tool 'fine' is not a function: 5"),
        ([{**FINE, "name": ""}], "name of a tool is a text; '' was given"),
        ([{**FINE, "name": 5}], "name of a tool is a text; 5 was given"),
        ([{**FINE, "description": 5}], "description of the tool 'fine' is not a string"),
        ([{**FINE, "parameters": None}], "are a dict of types by name; None was given"),
        ([{**FINE, "parameters": [("a", int)]}], "are a dict of types by name; [('a'"),
        ([{**FINE, "parameters": {"a b": int}}], "'a b' cannot be the name of a parameter"),
        ([{**FINE, "parameters": {5: int}}], "5 cannot be the name of a parameter"),
        ([{**FINE, "parameters": {"a": {"default": 1}}}], "the parameter 'a' has no 'type'"),
        (
            [{**FINE, "parameters": {"a": 5}}],
            "'fine' cannot be offered: parameters.a: there is no JSON",
        ),
        ([{**FINE, "parameters": {"a": {"type": "integer"}}}], "a Python type, as int, not"),
        ([{**FINE, "parameters": {"a": "string"}}], "there is RawFunctionTool"),
        ([{}], "keys name, description, parameters, implementation; this one has none"),
        ([{"name": "x", "description": "y"}], "this one has name, description."),
        (
            [{"type": "function", "name": "x"}],
            "with the type 'function' is {'type': 'function', 'f",
        ),
        ([{"type": "function", "function": {"description": "y"}}], "is a text; None was given"),
        ([{"type": "function", "function": {"name": "x", "parameters": 5}}], "tool 'x' is no JSON"),
        (
            [{"type": "function", "function": {"name": "x", "description": 5}}],
            "tool 'x' is not a string",
        ),
        ([{"type": "function", "function": {}, "implementation": fine}], "it is a RawFunctionTool"),
        ([{**FINE, "strict": True}], "parameters, implementation; this one has name, desc"),
        ([{**RAW, "parameters": {}}], "keys name, description, parameters_json_schema, impl"),
        ([{**RAW, "parameters_json_schema": None}], "is no JSON Schema of an object: None"),
        ([{**RAW, "parameters_json_schema": {"a": int}}], "is no JSON Schema of an object: {'a'"),
        ([{**RAW, "parameters_json_schema": {"type": "array"}}], "is no JSON Schema of an object"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_in_words(tools, words):
    with pytest.raises(lms.LMStudioValueError) as caught:
        prepare_tools(tools)
    assert words in str(caught.value)


def test_a_name_alone_makes_no_tool_of_a_lambda():
    with pytest.raises(lms.LMStudioValueError, match="'one' has no description"):
        lms.ToolFunctionDef.from_callable(lambda: 1, name="one")
    with pytest.raises(lms.LMStudioValueError, match="has no name"):
        lms.ToolFunctionDef.from_callable(lambda: 1, description="Give 1.")
    with pytest.raises(lms.LMStudioValueError, match="made of a function; 5 was given"):
        lms.ToolFunctionDef.from_callable(5, name="five")


def test_nothing_is_sent_if_a_tool_cannot_be_offered(server, client):
    model = client.llm.model()
    with pytest.raises(lms.LMStudioValueError):
        model.act("Hi", [fine, no_docstring])
    assert server.predictions == []


# ---- guard_tool_call ----


def controller():
    request = lms.ToolCallRequest(name="fine", id="x", arguments={"a": 1})
    return lms.GuardToolCallController(request, 0, 0, lms.CancelToken())


@pytest.mark.parametrize("arguments", [None, [1], "a", 5])
def test_other_arguments_are_a_dict(arguments):
    with pytest.raises(lms.LMStudioValueError, match="The arguments of a tool are a dict"):
        controller().allow_and_override_parameters(arguments)


@pytest.mark.parametrize("value", [object(), float("nan"), b"x"])
def test_other_arguments_must_fit_into_the_chat(value):
    asked = controller()
    with pytest.raises(lms.LMStudioValueError, match="The arguments of a tool are JSON data"):
        asked.allow_and_override_parameters({"a": value})
    asked.allow()  # nothing was decided


@pytest.mark.parametrize("second", ["allow", "deny"])
def test_a_call_is_decided_once(second):
    asked = controller()
    asked.deny()
    with pytest.raises(lms.LMStudioRuntimeError, match="decide once"):
        getattr(asked, second)()
