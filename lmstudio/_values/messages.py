"""What a chat is made of: messages and their parts, as classes, as dicts, and as accepted input."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypedDict

import attrs

from .._api.public import public_module
from .._json.converter import LMStudioStruct

FileType: TypeAlias = Literal[
    "image", "text/plain", "application/pdf", "application/word", "text/other", "unknown"
]


@attrs.define(kw_only=True, repr=False)
class TextData(LMStudioStruct):
    """Text in a message."""

    type: ClassVar[Literal["text"]] = "text"
    text: str


@attrs.define(kw_only=True, repr=False)
class FileHandle(LMStudioStruct):
    """A file on the server, to be put into a message.

    Attributes:
        name: the file's name.
        identifier: the server's name for it.
        size_bytes: its size in bytes.
        file_type: one of ``FileType``, or what a newer server may name.
    """

    type: ClassVar[Literal["file"]] = "file"
    name: str
    identifier: str
    size_bytes: int
    file_type: str


@attrs.define(kw_only=True, repr=False)
class ToolCallRequest(LMStudioStruct):
    """A model's request to call a tool.

    Attributes:
        name: the tool.
        id: ties the result to the request.
        arguments: the arguments by name.
    """

    type: str = "function"
    name: str
    id: str | None = None
    arguments: dict[str, Any] | None = None


@attrs.define(kw_only=True, repr=False)
class ToolCallRequestData(LMStudioStruct):
    """A tool call request in a message."""

    type: ClassVar[Literal["toolCallRequest"]] = "toolCallRequest"
    tool_call_request: ToolCallRequest


@attrs.define(kw_only=True, repr=False)
class ToolCallResultData(LMStudioStruct):
    """A tool's result in a message.

    Attributes:
        content: the result, usually JSON text.
        tool_call_id: the ``id`` of the request it answers.
        name: the tool.
    """

    type: ClassVar[Literal["toolCallResult"]] = "toolCallResult"
    content: str
    tool_call_id: str | None = None
    name: str | None = None


@attrs.define(kw_only=True, repr=False)
class SystemPrompt(LMStudioStruct):
    """Directions to the model."""

    role: ClassVar[Literal["system"]] = "system"
    content: list[TextData | FileHandle]


@attrs.define(kw_only=True, repr=False)
class UserMessage(LMStudioStruct):
    """What the user said, in one or more parts."""

    role: ClassVar[Literal["user"]] = "user"
    content: list[TextData | FileHandle]


@attrs.define(kw_only=True, repr=False)
class AssistantResponse(LMStudioStruct):
    """What the model said, and the tool calls it asked for."""

    role: ClassVar[Literal["assistant"]] = "assistant"
    content: list[TextData | FileHandle | ToolCallRequestData]


@attrs.define(kw_only=True, repr=False)
class ToolResultMessage(LMStudioStruct):
    """What the called tools returned."""

    role: ClassVar[Literal["tool"]] = "tool"
    content: list[ToolCallResultData]


AnyChatMessage: TypeAlias = AssistantResponse | UserMessage | SystemPrompt | ToolResultMessage


@attrs.define(kw_only=True, repr=False)
class ChatHistoryData(LMStudioStruct):
    """The messages of a chat, oldest first."""

    messages: list[AnyChatMessage]


# ---- the same as dicts ----


class TextDataDict(TypedDict):
    """``TextData`` as a dict."""

    type: Literal["text"]
    text: str


class FileHandleDict(TypedDict):
    """``FileHandle`` as a dict."""

    type: Literal["file"]
    name: str
    identifier: str
    sizeBytes: int
    fileType: str


class _ToolCallRequestRequired(TypedDict):
    type: Literal["function"]
    name: str


class ToolCallRequestDict(_ToolCallRequestRequired, total=False):
    """``ToolCallRequest`` as a dict."""

    id: str
    arguments: dict[str, Any]


class ToolCallRequestDataDict(TypedDict):
    """``ToolCallRequestData`` as a dict."""

    type: Literal["toolCallRequest"]
    toolCallRequest: ToolCallRequestDict


class _ToolCallResultDataRequired(TypedDict):
    type: Literal["toolCallResult"]
    content: str


class ToolCallResultDataDict(_ToolCallResultDataRequired, total=False):
    """``ToolCallResultData`` as a dict."""

    toolCallId: str
    name: str


class SystemPromptDict(TypedDict):
    """``SystemPrompt`` as a dict."""

    role: Literal["system"]
    content: list[TextDataDict | FileHandleDict]


class UserMessageDict(TypedDict):
    """``UserMessage`` as a dict."""

    role: Literal["user"]
    content: list[TextDataDict | FileHandleDict]


class AssistantResponseDict(TypedDict):
    """``AssistantResponse`` as a dict."""

    role: Literal["assistant"]
    content: list[TextDataDict | FileHandleDict | ToolCallRequestDataDict]


class ToolResultMessageDict(TypedDict):
    """``ToolResultMessage`` as a dict."""

    role: Literal["tool"]
    content: list[ToolCallResultDataDict]


AnyChatMessageDict: TypeAlias = (
    ToolResultMessageDict | SystemPromptDict | AssistantResponseDict | UserMessageDict
)


class ChatHistoryDataDict(TypedDict):
    """``ChatHistoryData`` as a dict."""

    messages: list[AnyChatMessageDict]


# ---- what the methods of Chat accept ----


class _HasHistoryContent(Protocol):
    """A result that knows what text it leaves in the history."""

    def _to_history_content(self) -> str: ...


FileHandleInput: TypeAlias = FileHandle | FileHandleDict
SystemPromptContent: TypeAlias = TextData
UserMessageContent: TypeAlias = TextData | FileHandle
AssistantResponseContent: TypeAlias = TextData | FileHandle
SystemPromptInput: TypeAlias = str | TextData | TextDataDict
UserMessageInput: TypeAlias = str | TextData | TextDataDict | FileHandle | FileHandleDict
AnyUserMessageInput: TypeAlias = UserMessageInput | Iterable[UserMessageInput]
AssistantResponseInput: TypeAlias = str | TextData | TextDataDict | FileHandle | FileHandleDict
AnyAssistantResponseInput: TypeAlias = AssistantResponseInput | _HasHistoryContent
ToolCallRequestInput: TypeAlias = (
    ToolCallRequest | ToolCallRequestDict | ToolCallRequestData | ToolCallRequestDataDict
)
ToolCallResultInput: TypeAlias = ToolCallResultData | ToolCallResultDataDict
ChatMessageInput: TypeAlias = (
    UserMessageInput | AssistantResponseInput | ToolCallRequestInput | ToolCallResultInput
)
AnyChatMessageInput: TypeAlias = ChatMessageInput | Iterable[ChatMessageInput]

public_module(globals())
