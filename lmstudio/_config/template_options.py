"""The options of `apply_prompt_template()`: checked, and as LM Studio takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._api.checks import check_flag
from .._api.shown import shown
from .._api.warn import warn_of_option
from .._json.converter import camel_keys
from ..errors import LMStudioValueError

_NAMES = ("omitBosToken", "omitEosToken", "toolDefinitions")


def template_options(opts: Any, is_strict: bool = False) -> dict[str, Any]:
    """Return the options as JSON data.

    Args:
        opts: a dict with camelCase or snake_case keys; None for none.
        is_strict: an option that does not exist is an error, instead of a warning.

    Raises:
        LMStudioValueError: it is no dict, or a value cannot be used.
    """
    if opts is None:
        return {}
    if not isinstance(opts, Mapping):
        raise LMStudioValueError(
            f"The opts of apply_prompt_template() must be a dict; {shown(opts)} was given."
        )
    options: dict[str, Any] = camel_keys(
        {key: value for key, value in opts.items() if value is not None}
    )
    for key in set(options) - set(_NAMES):
        words = f"apply_prompt_template() takes {', '.join(_NAMES)}"
        if is_strict:
            raise LMStudioValueError(f"Unknown option {shown(key)}: {words}.")
        warn_of_option(f"The option {shown(key)} does not exist and is left out: {words}.")
        del options[key]
    for name in _NAMES[:2]:
        if name in options:
            options[name] = check_flag(options[name], name)
    _check_tools(options.get("toolDefinitions", []))
    return options


def _check_tools(tools: Any) -> None:
    if not isinstance(tools, list):
        raise LMStudioValueError(f"toolDefinitions must be a list; {shown(tools)} was given.")
    for at, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if (
            not isinstance(function, Mapping)
            or tool.get("type") != "function"
            or not isinstance(function.get("name"), str)
        ):
            raise LMStudioValueError(
                f"toolDefinitions[{at}] must be a dict like {{'type': 'function', 'function': "
                "{'name': ..., 'description': ..., 'parameters': a JSON Schema}}; "
                f"{shown(tool)} was given."
            )
