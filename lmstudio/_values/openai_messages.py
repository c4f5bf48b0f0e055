"""A chat in the shape of OpenAI's chat completions API: its messages as ours, and ours as its."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from .._api.callbacks import not_the_end
from .._api.shown import shown
from .._json.annotations import json_default
from ..errors import LMStudioValueError
from .chat_input import image_part
from .messages import (
    AnyChatMessage,
    AssistantResponse,
    FileHandle,
    FileHandleInput,
    SystemPrompt,
    TextData,
    ToolCallRequest,
    ToolCallRequestData,
    ToolCallResultData,
    ToolResultMessage,
    UserMessage,
)


class _Image(NamedTuple):
    """An image that is not on the server yet; it stands in a message as one of its parts."""

    data: bytes
    where: str


def _refuse(where: str, problem: str) -> NoReturn:
    raise LMStudioValueError(f"{where}: {problem}")


# -- reading ------------------------------------------------------------------------------------


def from_openai(
    messages: Iterable[Any], prepare_image: Callable[[bytes], FileHandleInput] | None
) -> list[AnyChatMessage]:
    """Return OpenAI's messages as ours; no two of one role follow each other.

    Raises:
        LMStudioValueError: One cannot be read, or has an image that nobody uploads.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        _refuse("messages", f"expected a list of messages, not {shown(messages)}.")
    read: list[AnyChatMessage] = []
    for index, message in enumerate(messages):
        new = _read_message(message, f"messages[{index}]")
        if read and read[-1].role == new.role:
            _join(read[-1], new)
        else:
            read.append(new)
    # Not before all is read: an image takes long, and would lie on the server for nothing.
    for message in read:
        content: list[Any] = message.content
        content[:] = [
            _upload(part, prepare_image) if isinstance(part, _Image) else part for part in content
        ]
    return read


def _join(last: AnyChatMessage, new: AnyChatMessage) -> None:
    if isinstance(last, SystemPrompt):
        parts = [*last.content, *new.content]
        text = "\n\n".join(part.text for part in parts if isinstance(part, TextData))
        last.content = [TextData(text=text)]
    else:
        content: list[Any] = last.content
        content.extend(new.content)


def _as_data(value: Any) -> Any:
    """Return an object of the package `openai` as a dict; whatever else as it is."""
    is_model = not isinstance(value, Mapping) and hasattr(value, "model_dump")
    return value.model_dump() if is_model else value


def _read_message(message: Any, where: str) -> AnyChatMessage:
    message = _as_data(message)
    if not isinstance(message, Mapping):
        _refuse(where, f"a message is a dict, not {shown(message)}.")
    role = message.get("role")
    content: list[Any] = _read_parts(message.get("content"), f"{where}.content")
    if role in ("system", "developer"):
        texts = _texts_only(content)
        if not texts:
            _refuse(where, "a system prompt cannot be empty.")
        return SystemPrompt(content=[*texts])
    if role == "user":
        if not content:
            _refuse(where, "a user message cannot be empty.")
        return UserMessage(content=content)
    if role == "assistant":
        return _read_response(message, content, where)
    if role == "tool":
        call_id, name = message.get("tool_call_id"), message.get("name")
        if not isinstance(call_id, (str, type(None))):
            _refuse(f"{where}.tool_call_id", f"expected a string, not {shown(call_id)}.")
        result = ToolCallResultData(
            content="".join(part.text for part in _texts_only(content)),
            tool_call_id=call_id,
            name=name if isinstance(name, str) else None,
        )
        return ToolResultMessage(content=[result])
    _refuse(
        f"{where}.role",
        f"expected system, developer, user, assistant or tool, not {shown(role)}.",
    )


def _read_response(message: Mapping[str, Any], content: list[Any], where: str) -> AssistantResponse:
    for key in ("function_call", "audio"):
        if message.get(key):
            _refuse(f"{where}.{key}", "LM Studio has no place for it in a chat.")
    if not content and message.get("refusal"):
        content = _read_parts(message["refusal"], f"{where}.refusal")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, (list, tuple)):
        _refuse(f"{where}.tool_calls", f"expected a list, not {shown(calls)}.")
    content += [_read_call(call, f"{where}.tool_calls[{at}]") for at, call in enumerate(calls)]
    return AssistantResponse(content=content or [TextData(text="")])


def _read_call(call: Any, where: str) -> ToolCallRequestData:
    call = _as_data(call)
    function = _as_data(call.get("function")) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or call.get("type", "function") != "function":
        _refuse(where, f"expected the call of a function, not {shown(call)}.")
    call_id, name = call.get("id"), function.get("name")
    if not isinstance(name, str):
        _refuse(f"{where}.function.name", f"expected a string, not {shown(name)}.")
    if not isinstance(call_id, (str, type(None))):
        _refuse(f"{where}.id", f"expected a string, not {shown(call_id)}.")
    arguments = _read_arguments(function.get("arguments"), f"{where}.function.arguments")
    request = ToolCallRequest(name=name, id=call_id, arguments=arguments)
    return ToolCallRequestData(tool_call_request=request)


def _read_arguments(arguments: Any, where: str) -> dict[str, Any]:
    read: Any = arguments or {}
    if isinstance(read, str):
        try:
            read = json.loads(read)
        except (ValueError, RecursionError) as error:
            _refuse(where, f"expected JSON, not {shown(arguments)}: {error}.")
    if not isinstance(read, Mapping):
        _refuse(where, f"expected the text of a JSON object, not {shown(arguments)}.")
    return copy.deepcopy(dict(read))


def _read_parts(content: Any, where: str) -> list[TextData | _Image]:
    if content is None:
        return []
    if isinstance(content, str):
        return [TextData(text=content)]
    if not isinstance(content, (list, tuple)):
        _refuse(where, f"expected a text, a list of parts or None, not {shown(content)}.")
    return [_read_part(part, f"{where}[{at}]") for at, part in enumerate(content)]


def _read_part(part: Any, where: str) -> TextData | _Image:
    part = _as_data(part)
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in ("text", "refusal"):
        if not isinstance(part.get(kind), str):
            _refuse(f"{where}.{kind}", f"expected a string, not {shown(part.get(kind))}.")
        return TextData(text=part[kind])
    if kind == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, Mapping) else image
        return _Image(_read_data_url(url, f"{where}.image_url"), where)
    _refuse(where, f"a part is of type 'text' or 'image_url'; this is {shown(part)}.")


def _read_data_url(url: Any, where: str) -> bytes:
    head, comma, data = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not comma or not head.lower().startswith("data:") or not head.lower().endswith(";base64"):
        _refuse(
            where,
            f"expected a URL like data:image/png;base64,..., not {shown(url)}. Images are not "
            "fetched from elsewhere: do that first.",
        )
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except ValueError as error:
        _refuse(where, f"this is no base64: {error}.")
    if not content:
        _refuse(where, "the image is empty.")
    return content


def _texts_only(content: list[Any]) -> list[TextData]:
    for part in content:
        if isinstance(part, _Image):
            _refuse(part.where, "an image cannot stand in a message of this role.")
    return content


def _upload(image: _Image, prepare_image: Callable[[bytes], FileHandleInput] | None) -> FileHandle:
    if prepare_image is None:
        _refuse(
            image.where,
            "an image has to be uploaded before it can be in a chat: call from_openai() with "
            "prepare_image=client.prepare_image (or lmstudio.prepare_image).",
        )
    try:
        return image_part(prepare_image(image.data))
    except StopIteration as error:  # of user code
        raise not_the_end(error) from error


# -- writing ------------------------------------------------------------------------------------


def to_openai(
    messages: Iterable[AnyChatMessage], image_url: Callable[[FileHandle], str | None] | None
) -> list[dict[str, Any]]:
    """Return our messages as OpenAI's.

    Raises:
        LMStudioValueError: There is a file of which nobody knows a URL.
    """
    written: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        if isinstance(message, ToolResultMessage):
            written += map(_write_result, message.content)
        else:
            written.append(_write_message(message, f"chat[{index}]", image_url))
    return written


def _write_message(
    message: SystemPrompt | UserMessage | AssistantResponse,
    where: str,
    image_url: Callable[[FileHandle], str | None] | None,
) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, TextData):
            parts.append({"type": "text", "text": part.text})
        elif isinstance(part, ToolCallRequestData):
            calls.append(_write_call(part.tool_call_request))
        elif (url := _url_of(part, where, image_url)) is not None:
            parts.append({"type": "image_url", "image_url": {"url": url}})
    content: Any = parts
    if not parts:
        content = None if calls else ""
    elif len(parts) == 1 and "text" in parts[0]:
        content = parts[0]["text"]
    written = {"role": message.role, "content": content}
    return {**written, "tool_calls": calls} if calls else written


def _write_call(request: ToolCallRequest) -> dict[str, Any]:
    arguments = json.dumps(request.arguments or {}, ensure_ascii=False, default=json_default)
    call_id = {} if request.id is None else {"id": request.id}
    function = {"name": request.name, "arguments": arguments}
    return {**call_id, "type": "function", "function": function}


def _write_result(result: ToolCallResultData) -> dict[str, Any]:
    written = {"role": "tool", "content": result.content}
    if result.tool_call_id is not None:
        written["tool_call_id"] = result.tool_call_id
    if result.name is not None:
        written["name"] = result.name
    return written


def _url_of(
    file: FileHandle, where: str, image_url: Callable[[FileHandle], str | None] | None
) -> str | None:
    if image_url is None:
        _refuse(
            where,
            f"the file {file.name!r} is on LM Studio, which does not give it back: call "
            "to_openai() with image_url=, a function that returns a URL for a file handle, or "
            "None to leave it out.",
        )
    url = image_url(file)
    if not isinstance(url, (str, type(None))):
        _refuse(where, f"image_url returned {shown(url)}, which is neither a string nor None.")
    return url
