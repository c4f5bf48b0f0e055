"""The functions that users give: checked before anything is sent, and kept from ending loops."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import attrs

from ..errors import LMStudioValueError
from .shown import shortened, shown


def check_callable(name: str, callback: object) -> None:
    """Check that a callback is a plain function; None is no callback.

    Raises:
        LMStudioValueError: It is something else, or what it returns would have to be awaited.
    """
    if callback is not None and not callable(callback):
        raise LMStudioValueError(f"{name} must be a function; {shown(callback)} was given.")
    if _is_coroutine_function(callback):
        raise LMStudioValueError(
            f"{name} must be a plain function, since nobody awaits a callback; {_shown(callback)} "
            "is a coroutine function. It may start a task: asyncio.create_task()."
        )


def check_callback(name: str, callback: object, *gets: str) -> None:
    """Check that a callback can be called with what it will get; None is no callback.

    Args:
        name: What the parameter is called.
        callback: What was given.
        *gets: Names of the arguments that it will be called with.

    Raises:
        LMStudioValueError: It is no function, or one with another signature.
    """
    check_callable(name, callback)
    if type(callback) is partial:  # perhaps that of `run_in_background()`
        callback = getattr(callback, "given_callback", callback)
    signature = _signature(callback)
    if signature is None:
        return
    try:
        signature.bind(*gets)
    except TypeError as error:
        raise LMStudioValueError(
            f"{name} is called with {_listed(gets)}; {_shown(callback)} cannot be: {error}."
        ) from None


def check_given_callback(name: str, callback: object, *gets: str) -> None:
    """Do so where None is none either.

    Raises:
        LMStudioValueError: It is no function, or one with another signature.
    """
    if callback is None:
        raise LMStudioValueError(f"{name} must be a function; None was given.")
    check_callback(name, callback, *gets)


def _is_coroutine_function(callback: object) -> bool:
    try:
        return inspect.iscoroutinefunction(callback)
    except Exception:  # a proxy of something that is not there now
        return False


def _signature(callback: Any) -> inspect.Signature | None:
    """Return the signature of a callback, if it tells one that can be trusted; else None."""
    try:
        # A decorator may add or take away arguments, and show the signature of what is inside.
        if callback is None or hasattr(callback, "__wrapped__"):
            return None
        if "__signature__" in getattr(callback, "__dict__", ()):
            return None
        return inspect.signature(callback, follow_wrapped=False)
    except Exception:  # a function of C that tells nothing of itself, or a proxy of something
        return None


def callback_field(*gets: str) -> Any:
    """Declare a field of an attrs class for a callback, with the arguments that it gets."""

    def check(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            check_callback(field.name, value, *gets)

    return attrs.field(default=None, validator=check)


def not_the_end(error: BaseException) -> BaseException:
    """Return an error of user code as it may leave it: a StopIteration would end a loop.

    It becomes a RuntimeError, as in a generator; so does a StopAsyncIteration.
    """
    if not isinstance(error, (StopIteration, StopAsyncIteration)):
        return error
    name = type(error).__name__
    failure = RuntimeError(f"a function that was given to lmstudio raised {name}")
    failure.__cause__ = error
    return failure


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return "no arguments"
    words = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{len(names)} argument{'s' if len(names) > 1 else ''} ({words})"


def _shown(callback: Any) -> str:
    name = getattr(callback, "__qualname__", None)
    return shortened(f"{name}{_signature(callback)}") if name else shown(callback)
