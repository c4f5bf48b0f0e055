"""Evaluates the annotations of a tool's parameters, one by one, where the function was made."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, get_type_hints

from ..errors import LMStudioValueError

_SIGNATURE: dict[str, Any] = {}
_ANNOTATIONS: dict[str, Any] = {}
if sys.version_info >= (3, 14):
    import annotationlib

    # Python 3.14 evaluates annotations when they are asked for: not those that cannot be.
    _SIGNATURE["annotation_format"] = annotationlib.Format.FORWARDREF
    _ANNOTATIONS["format"] = annotationlib.Format.FORWARDREF


def with_annotations(f: Any) -> Any:
    """Return what bears the annotations: of an object that can be called, its method."""
    function = without_partial(f)
    is_plain = inspect.isroutine(function) or inspect.isclass(function)
    return function if is_plain else getattr(function, "__call__", function)  # noqa: B004


def without_partial(f: Any) -> Any:
    """Return the function that `functools.partial` was given."""
    return without_partial(f.func) if isinstance(f, functools.partial) else f


def annotated_parameters(f: Any) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Yield each parameter with its type, or with ``Parameter.empty``.

    A wrapper's ``**kwargs`` may stand for parameters of which only its annotations tell, where
    those were copied by hand. What is returned has no part in it: its annotation may name what only
    type checkers import.

    Raises:
        Exception: What Python says of a function without a signature, or of an annotation that
            cannot be evaluated.
    """
    function = with_annotations(f)
    of_class = get_type_hints(function, include_extras=True) if inspect.isclass(function) else {}
    parameters = dict(inspect.signature(f, **_SIGNATURE).parameters)
    if inspect.Parameter.VAR_KEYWORD in [parameter.kind for parameter in parameters.values()]:
        for name, annotation in _copied(f):
            if name not in parameters:
                parameters[name] = inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation
                )
    for parameter in parameters.values():
        annotation = of_class.get(parameter.name, parameter.annotation)
        if annotation is not parameter.empty:
            annotation = _evaluated(annotation, parameter.name, inspect.unwrap(function))
        yield parameter, annotation


def _copied(f: Any) -> Iterator[tuple[str, Any]]:
    """Yield the annotations of a function that are of none of its own parameters."""
    partial = f if isinstance(f, functools.partial) else functools.partial(f)
    function = inspect.unwrap(with_annotations(f))
    function = inspect.unwrap(getattr(function, "__func__", function))  # of a method
    code = getattr(function, "__code__", None)
    if code is None or partial.args:  # nobody knows which of them these are
        return
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for name, annotation in inspect.get_annotations(function, **_ANNOTATIONS).items():
        if name not in own and name not in partial.keywords and name != "return":
            yield name, annotation


def _evaluated(annotation: Any, name: str, function: Any) -> Any:
    """Return the type that an annotation means in the module of a function, and around it.

    Raises:
        Exception: What Python says of it.
    """
    function = getattr(function, "__func__", function)  # of a method
    names = _closure(function)

    def bearer() -> None: ...

    bearer.__annotations__ = {name: annotation}
    while True:
        try:
            module = getattr(function, "__globals__", {})
            return get_type_hints(bearer, module, names, include_extras=True)[name]
        except NameError as error:
            missing: Any = error.name
            if missing in names or missing is None:
                raise
            around = _around(function, missing)
            if around is None:
                raise LMStudioValueError(
                    f"name {missing!r} is not defined, for the annotation of {name!r}; "
                    "define it at the top of the function's module"
                ) from None
            names[missing] = around


def _closure(function: Any) -> dict[str, Any]:
    """Return the variables of the functions around a function that it has got hold of."""
    names = {
        parameter.__name__: parameter for parameter in getattr(function, "__type_params__", ())
    }
    code = getattr(function, "__code__", None)
    for name, cell in zip(
        getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=False
    ):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return names


def _around(function: Any, name: str) -> Any:
    """Return what a name means in the function around a function, or None if that is not known.

    With ``from __future__ import annotations`` nothing that is named in annotations only is in the
    closure; but the function around it may still run, as when it is the one that calls `act()`.
    """
    around, _, _ = getattr(function, "__qualname__", "").rpartition(".<locals>.")
    if not around:
        return None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        is_around = frame.f_code.co_name == around.rpartition(".")[2]
        if is_around and frame.f_globals is function.__globals__ and name in frame.f_locals:
            return frame.f_locals[name]
        frame = frame.f_back
    return None
