"""What users may give as the parts of a chat's messages, and what they become."""

from __future__ import annotations

import os
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
    split_reasoning,
)

_BYTES = (bytes, bytearray, memoryview)


def as_parts(content: Any) -> list[Any]:
    """Return one part, or several, as a list."""
    is_one = isinstance(content, (str, *_BYTES, Mapping))
    # To iterate over a stream would start it.
    if is_one or _is_stream(content) or not isinstance(content, Iterable):
        return [content]
    return list(content)


def hint_for(part: Any) -> str:
    """Return a sentence about what was meant, to follow an error; or nothing."""
    if _is_stream(part):
        return " Give the result of the stream: stream.result()."
    if hasattr(part, "_to_history_content"):  # how results are known: nothing here imports them
        return " chat.add_assistant_response(result) adds a reply; result.content is its text."
    if isinstance(part, _BYTES):
        return (
            " client.prepare_image(data) makes a file handle of an image; "
            "a text is decoded by data.decode()."
        )
    if isinstance(part, Mapping) and "image_url" in part:
        return " Chat.from_openai() reads messages as OpenAI's API has them."
    return ""


def hint_for_history(history: Any) -> str:
    """Return a sentence about what was meant by something that is no chat; or nothing."""
    if isinstance(history, (list, tuple)):
        return (
            " A list of messages stands in a dict, as {'messages': [...]}; Chat.from_openai() "
            "reads one as OpenAI's API has it."
        )
    if isinstance(history, Mapping) and "messages" in history:
        return " The value of 'messages' is a list, as [{'role': 'user', 'content': 'text'}]."
    if isinstance(history, Mapping) and "role" in history:
        return " Put a single message into a list: {'messages': [message]}."
    if isinstance(history, _BYTES):
        return " A text is decoded first, by data.decode()."
    return hint_for(history)


def hint_for_message(message: Any) -> str:
    """Return a sentence about what was meant by something that is no message; or nothing."""
    if isinstance(message, str):
        return " For a text there are add_user_message() and add_assistant_response()."
    if hasattr(message, "rounds"):  # what act() returns
        return " act(..., on_message=chat.append) adds what was said in it."
    return hint_for(message)


def _is_stream(part: Any) -> bool:
    return hasattr(part, "wait_for_result")


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
        f"Could not parse history entry: {shown(entry)}. A message has a role and content, as "
        "{'role': 'user', 'content': 'text'}."
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
        f"Unable to parse {what}: {shown(part)}. It takes texts and file handles.{hint_for(part)}"
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
        hint = hint_for(part)
        if isinstance(part, (list, tuple, Mapping)):
            hint = " Chat.from_history({'messages': [...]}) reads messages."
        raise LMStudioValueError(
            f"Unable to parse system prompt: {shown(part)}. A system prompt is a text.{hint}"
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
    src = shown(os.fspath(image)) if isinstance(image, (str, os.PathLike)) else "image"
    raise LMStudioValueError(
        f"Unable to parse user message content: {shown(image)}. Images are file handles: "
        f"client.prepare_image({src}) uploads one, and returns its handle."
    )


def response_text(response: Any, reasoning: bool = True) -> TextData | FileHandle:
    """Return what a model said: a text, or the result of a prediction; perhaps without reasoning.

    Raises:
        LMStudioValueError: It is neither.
    """
    text_of = getattr(response, "_to_history_content", None)
    said = text_or_file(text_of(reasoning) if text_of else response, "assistant response content")
    is_marked = text_of is not None and response.reasoning_content  # then it was left out above
    if isinstance(said, TextData) and not reasoning and not is_marked:
        answer = split_reasoning(said.text)[1]
        return said if answer == said.text else TextData(text=answer.lstrip("\n"))
    return said


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
        raise LMStudioValueError(
            f"Unable to parse tool call request content: {shown(request)}. It takes "
            "ToolCallRequest(name=..., id=..., arguments=...), or a dict like it with the type "
            "'function'."
        )
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
    raise LMStudioValueError(
        f"Unable to parse tool result: {shown(result)}. It takes "
        "ToolCallResultData(content=..., tool_call_id=...), or a dict like it."
    )
