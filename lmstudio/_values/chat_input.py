"""What users may give as the parts of a chat's messages, and what they become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from .._api.shown import shown
from ..errors import LMStudioValueError
from .messages import (
    AnyChatMessage,
    FileHandle,
    TextData,
    ToolCallRequest,
    ToolCallRequestData,
    ToolCallResultData,
)


def as_parts(content: Any) -> list[Any]:
    """Return one part, or several, as a list."""
    if isinstance(content, (str, Mapping)) or not isinstance(content, Iterable):
        return [content]
    return list(content)


def role_and_content(entry: Any) -> tuple[str, Any]:
    """Return the two halves of a message.

    Raises:
        LMStudioValueError: It is none.
    """
    if isinstance(entry, get_args(AnyChatMessage)):
        return entry.role, entry.content
    if isinstance(entry, Mapping) and "role" in entry and "content" in entry:
        return entry["role"], entry["content"]
    if isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[0], str):
        return entry[0], entry[1]
    raise LMStudioValueError(
        f"Could not parse history entry: {shown(entry)}. A message has a role and content."
    )


def text_or_file(part: Any, what: str) -> TextData | FileHandle:
    """Return a part of a message; `what` it should be is named in the error.

    Raises:
        LMStudioValueError: It is neither text nor file.
    """
    if isinstance(part, (TextData, FileHandle)):
        return part
    if isinstance(part, str):
        return TextData(text=part)
    if isinstance(part, Mapping):
        if isinstance(part.get("text"), str):
            return TextData(text=part["text"])
        if "identifier" in part:
            return FileHandle.from_dict(part)
    raise LMStudioValueError(
        f"Unable to parse {what}: {shown(part)}. It takes texts and file handles."
    )


def prompt_text(part: Any) -> TextData:
    """Return a part of a system prompt.

    Raises:
        LMStudioValueError: It is no text.
    """
    if isinstance(part, TextData):
        return part
    text = part.get("text") if isinstance(part, Mapping) else part
    if not isinstance(text, str):
        raise LMStudioValueError(
            f"Unable to parse system prompt: {shown(part)}. A system prompt is a text."
        )
    return TextData(text=text)


def image_part(image: Any) -> FileHandle:
    """Return a file handle.

    Raises:
        LMStudioValueError: It is none.
    """
    if isinstance(image, FileHandle):
        return image
    if isinstance(image, Mapping) and "identifier" in image:
        return FileHandle.from_dict(image)
    raise LMStudioValueError(
        f"Unable to parse user message content: {shown(image)}. Images are file handles, as "
        "prepare_image() returns them."
    )


def response_text(response: Any) -> TextData | FileHandle:
    """Return what a model said: a text, or the result of a prediction.

    Raises:
        LMStudioValueError: It is neither.
    """
    # Results are known by this method: this file knows nothing of predictions.
    text_of = getattr(response, "_to_history_content", None)
    return text_or_file(text_of() if text_of else response, "assistant response content")


def response_part(part: Any) -> TextData | FileHandle | ToolCallRequestData:
    """Return a part of what a model said: a text or a tool call.

    Raises:
        LMStudioValueError: It is neither.
    """
    return tool_call_request(part) if _is_tool_call_request(part) else response_text(part)


def _is_tool_call_request(part: Any) -> bool:
    if isinstance(part, Mapping):
        return part.get("type") in ("toolCallRequest", "function") or not part.keys().isdisjoint(
            ("toolCallRequest", "tool_call_request")
        )
    return isinstance(part, (ToolCallRequest, ToolCallRequestData))


def tool_call_request(request: Any) -> ToolCallRequestData:
    """Return a tool call that a model asked for.

    Raises:
        LMStudioValueError: It is none.
    """
    if isinstance(request, ToolCallRequestData):
        return request
    if isinstance(request, ToolCallRequest):
        return ToolCallRequestData(tool_call_request=request)
    if not _is_tool_call_request(request):
        raise LMStudioValueError(f"Unable to parse tool call request content: {shown(request)}.")
    if request.get("type") == "function":
        return ToolCallRequestData(tool_call_request=ToolCallRequest.from_dict(request))
    return ToolCallRequestData.from_dict(request)


def tool_call_result(result: Any) -> ToolCallResultData:
    """Return what a tool call came to.

    Raises:
        LMStudioValueError: It is none.
    """
    if isinstance(result, ToolCallResultData):
        return result
    if isinstance(result, Mapping):
        named = result.get("type") == "toolCallResult"
        if named or "toolCallId" in result or "tool_call_id" in result:
            return ToolCallResultData.from_dict(result)
    raise LMStudioValueError(f"Unable to parse tool result: {shown(result)}.")
