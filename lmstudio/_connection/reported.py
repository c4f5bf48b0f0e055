"""The errors that a server reports of a call, and what to do about them."""

from __future__ import annotations

from typing import Any

from .._api.shown import shortened, shown
from .._json.whole import error_details, whole
from ..errors import LMStudioServerError
from .call import Call

_NOT_LOADED = (
    "generic.noModelMatchingQuery",
    "generic.identifierNotFound",
    "generic.specificModelUnloaded",
)


def reported(call: Call, data: Any) -> LMStudioServerError:
    """Return the error that a server reports of a call."""
    details = error_details(data)
    endpoint = call.endpoint
    begin = f"{endpoint.notice} error"
    if not endpoint.channel:  # it is "RPC error" for all of them
        begin = f"{begin}: {endpoint.label} failed"
    error = LMStudioServerError.from_details(begin, details)
    hint = _hint(call, details)
    if hint:
        error.args = (f"{error}\n  {hint}",)
    return error


def refused(call: Call, text: str) -> LMStudioServerError:
    """Return the error of a call that a server does not accept, as a warning of it says."""
    text = shortened(whole(text))  # it repeats the whole parameter
    return LMStudioServerError(
        f"{call.endpoint.label} failed, since LM Studio does not accept the call: {text}"
    )


def _hint(call: Call, details: dict[str, Any]) -> str:
    """Return what to do where a model or a file is named that the server does not have."""
    display = details.get("displayData")
    code = display.get("code") if isinstance(display, dict) else None
    model = _loaded_model(call)
    if code in _NOT_LOADED and model is not None:
        name = shown(model)
        return (
            f"{name} is not loaded; client.{call.endpoint.path}.model({name}) loads it, if that is "
            "its key."
        )
    file = _value(call.parameter, "fileIdentifier") or _value(call.parameter, "fileName")
    if isinstance(file, str) and "find" in str(details.get("title")).lower():
        return (
            "If that is a file of this computer, upload it first: "
            f"client.files.prepare_file({shown(file)}) returns the handle to use."
        )
    return ""


def _loaded_model(call: Call) -> Any:
    """Return the identifier of the loaded model that a call is for, if it names one."""
    for name in ("specifier", "modelSpecifier"):
        identifier = _value(_value(_value(call.parameter, name), "query"), "identifier")
        if identifier is not None:
            return identifier
    return None


def _value(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, dict) else None
