"""Makes scripted replies from what is convenient to write, and checks it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from .._protocol import argument_checks as checks
from .._protocol import names
from .engine import Fault, FaultKind, Token, ToolCall, split_tokens
from .scripted import Reply

_GARBAGE = '{"type": "channelSe'
_ERROR = "Scripted failure"


def make_replies(
    tokens: str | Sequence[str | Token] = (),
    *,
    reasoning: str | Sequence[str] = (),
    tool_calls: Sequence[ToolCall | dict[str, Any]] = (),
    delay: float = 0.0,
    prefill: float = 0.0,
    stop_reason: str | None = None,
    repeat: int = 1,
    slow_stop: float = 0.0,
    error_after: int | None = None,
    error: str | None = None,
    drop_after: int | None = None,
    close_after: int | None = None,
    silent_after: int | None = None,
    garbage_after: int | None = None,
    **stats: Any,
) -> list[Reply]:
    """Return a reply, `repeat` times; see `Server.reply` for the arguments.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument has no meaning, or more than one fault was given.
    """
    checks.whole(1)("repeat", repeat)
    for name, seconds in (("delay", delay), ("prefill", prefill), ("slow_stop", slow_stop)):
        checks.number()(name, seconds)
    if stop_reason is not None:
        names.check_stop_reason("stop_reason", stop_reason)
    faults: dict[str, tuple[FaultKind, int | None]] = {
        "error_after": ("error", error_after),
        "drop_after": ("drop", drop_after),
        "close_after": ("close", close_after),
        "silent_after": ("silence", silent_after),
        "garbage_after": ("garbage", garbage_after),
    }
    fault, fault_after = _fault(faults, error)
    if "text" in stats:
        raise ValueError("there is no argument 'text'; give it first, as reply('x'), or as tokens=")
    arguments = ["tokens", *(make_replies.__kwdefaults__ or {})]
    reply = Reply(
        tokens=_pieces("tokens", tokens, (str, Token), "a text or a Token"),
        reasoning=_pieces("reasoning", reasoning, (str,), "a text"),
        tool_calls=_tool_calls(tool_calls),
        delay=delay,
        prefill=prefill,
        stop_reason=stop_reason,
        stats=names.on_the_wire("argument or entry of the stats", stats, names.STATS, arguments),
        slow_stop=slow_stop,
        fault=fault,
        fault_after=fault_after,
    )
    return [reply] * repeat


def _fault(
    faults: dict[str, tuple[FaultKind, int | None]], error: str | None
) -> tuple[Fault | None, int]:
    given: list[tuple[FaultKind, int]] = []
    for name, (kind, after) in faults.items():
        if after is not None:
            checks.whole()(name, after)
            given.append((kind, after))
    if error is not None:
        checks.text("error", error)
        if faults["error_after"][1] is None:
            raise ValueError(f"error={error!r} needs error_after=, the number of tokens before it")
    if len(given) > 1:
        raise ValueError("give at most one of the ..._after arguments")
    if not given:
        return None, 0
    kind, after = given[0]
    title = {"error": _ERROR if error is None else error, "garbage": _GARBAGE}.get(kind, "")
    return Fault(kind, title), after


def _pieces(name: str, value: Any, kinds: tuple[type, ...], entry: str) -> list[Any]:
    if isinstance(value, str):
        return split_tokens(value)
    if not isinstance(value, (list, tuple)):
        raise checks.wrong_type(name, f"a text, or a list whose entries are each {entry}", value)
    for at, one in enumerate(value):
        if not isinstance(one, kinds):
            raise checks.wrong_type(f"{name}[{at}]", entry, one)
    return list(value)


def _tool_calls(value: Any) -> list[ToolCall]:
    if not isinstance(value, (list, tuple)):
        raise checks.wrong_type("tool_calls", "a list of ToolCalls or dicts", value)
    return [_tool_call(f"tool_calls[{at}]", one) for at, one in enumerate(value)]


def _tool_call(where: str, value: Any) -> ToolCall:
    if isinstance(value, dict):
        fields = [field.name for field in attrs.fields(ToolCall)]
        for name in value:
            checks.known(f"field of {where}", name, fields)
        if "name" not in value:
            raise ValueError(f"{where} needs the name of a tool, got {value!r}")
        value = ToolCall(**value)
    if not isinstance(value, ToolCall):
        raise checks.wrong_type(where, "a ToolCall or a dict", value)
    checks.text(f"{where}.name", value.name)
    checks.entries(f"{where}.arguments", value.arguments)
    checks.optional(checks.text)(f"{where}.id", value.id)
    checks.whole(1)(f"{where}.pieces", value.pieces)
    checks.optional(checks.text)(f"{where}.failure", value.failure)
    try:
        json.dumps(value.arguments)
    except (TypeError, ValueError) as problem:
        raise TypeError(f"{where}.arguments must be fit for JSON: {problem}") from None
    return value
