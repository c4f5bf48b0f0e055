"""What a chat is made of: messages and their parts, as classes, as dicts, and as accepted input."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypedDict

import attrs

from .._api.public import public_module
from .._api.shown import shown
from .._json.converter import LMStudioStruct
from ..errors import LMStudioValueError

FileType: TypeAlias = Literal[
    "image", "text/plain", "application/pdf", "application/word", "text/other", "unknown"
]
"""What a file is, as LM Studio tells it."""


@attrs.define(kw_only=True, repr=False)
class TextData(LMStudioStruct):
    """Text in a message."""

    type: ClassVar[Literal["text"]] = "text"
    text: str
    """The text."""


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
        arguments: the arguments by name; None if the model wrote none.
    """

    type: str = "function"
    """What is asked for: ``function``."""
    name: str
    id: str | None = None
    arguments: dict[str, Any] | None = None


@attrs.define(kw_only=True, repr=False)
class ToolCallRequestData(LMStudioStruct):
    """A tool call request in a message."""

    type: ClassVar[Literal["toolCallRequest"]] = "toolCallRequest"
    tool_call_request: ToolCallRequest
    """The request."""


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


_TEXTS = "[lmstudio.TextData(text='...')]"
_EXAMPLES = {
    "system": _TEXTS,
    "user": _TEXTS,
    "assistant": _TEXTS,
    "tool": "[lmstudio.ToolCallResultData(content='...', tool_call_id='...')]",
}


def _set(message: Any, _field: Any, content: Any) -> Any:
    content = list(content) if isinstance(content, tuple) else content
    message._check_content(content)
    return content


class _Message(LMStudioStruct):
    """What can be read off any message; none of it is a field."""

    __slots__ = ("_marked",)  # by a model, as its reasoning; it is no part of the message
    _marked: tuple[str, str, str]  # the text, reasoning, answer
    role: ClassVar[str]
    content: list[Any]
    _parts: ClassVar[tuple[type, ...]]  # of what classes the content is

    def _check_content(self, content: Any) -> None:
        """Check what somebody has put into a message.

        Raises:
            LMStudioValueError: It is no list of such parts.
        """
        parts = content if isinstance(content, list) else [content]
        wrong = [part for part in parts if not isinstance(part, self._parts)]
        if not wrong and parts is content:
            return
        given = shown(wrong[0] if wrong else content)
        names = ", ".join(part.__name__ for part in self._parts)
        raise LMStudioValueError(
            f"The content of a {type(self).__name__} is a list of parts ({names}), as "
            f"{_EXAMPLES[self.role]}; {given} was given. For texts and dicts there is "
            f"chat[index] = {{'role': {self.role!r}, 'content': ...}}."
        )

    @property
    def text(self) -> str:
        """Its texts, each on a line of its own."""
        return "\n".join(part.text for part in self.content if isinstance(part, TextData))

    def _mark(self, reasoning: str, answer: str) -> None:
        """Note what of the text as it is now the model has marked as its reasoning."""
        self._marked = self.text, reasoning, answer

    @property
    def files(self) -> list[FileHandle]:
        """The files in it."""
        return [part for part in self.content if isinstance(part, FileHandle)]


def split_reasoning(text: str) -> tuple[str, str]:
    """Return the reasoning that a text begins with, as many models mark it, and the rest."""
    before, start, after = text.partition("<think>")
    if not start or before.strip():
        return "", text
    reasoning, _, answer = after.partition("</think>")
    return reasoning, answer


@attrs.define(kw_only=True, repr=False)
class SystemPrompt(_Message):
    """Directions to the model."""

    role: ClassVar[Literal["system"]] = "system"
    _parts = (TextData, FileHandle)
    content: list[TextData | FileHandle] = attrs.field(on_setattr=_set)
    """Its parts."""


@attrs.define(kw_only=True, repr=False)
class UserMessage(_Message):
    """What the user said, in one or more parts."""

    role: ClassVar[Literal["user"]] = "user"
    _parts = (TextData, FileHandle)
    content: list[TextData | FileHandle] = attrs.field(on_setattr=_set)
    """Its parts."""


@attrs.define(kw_only=True, repr=False)
class AssistantResponse(_Message):
    """What the model said, and the tool calls it asked for."""

    role: ClassVar[Literal["assistant"]] = "assistant"
    _parts = (TextData, FileHandle, ToolCallRequestData)
    content: list[TextData | FileHandle | ToolCallRequestData] = attrs.field(on_setattr=_set)
    """Its parts: texts, files, and requests to call tools."""

    @property
    def tool_calls(self) -> list[ToolCallRequest]:
        """The tool calls it asked for."""
        parts = self.content
        return [p.tool_call_request for p in parts if isinstance(p, ToolCallRequestData)]

    @property
    def reasoning_content(self) -> str:
        """What stands between ``<think>`` and ``</think>`` at the beginning of ``text``.

        Without ``</think>``, as in a reply that was stopped, all that follows is reasoning. A chat
        keeps the whole text of a reply and not what the model marked in it; for a model with other
        marks this is empty. What ``on_message`` gets, and ``PredictionResult``, know for any model.
        """
        return self._split()[0]

    @property
    def answer(self) -> str:
        """The rest of ``text``: all of it, if it does not begin with ``<think>``."""
        return self._split()[1]

    def _split(self) -> tuple[str, str]:
        text = self.text
        marked = getattr(self, "_marked", None)
        if marked is not None and marked[0] == text:
            return marked[1], marked[2]
        return split_reasoning(text)


def without_reasoning(message: AssistantResponse) -> AssistantResponse:
    """Return a response that has only the answer, and the tool calls; itself, if it reasons not."""
    if message.answer == message.text:
        return message
    others = [part for part in message.content if not isinstance(part, TextData)]
    answer = message.answer.lstrip("\n")  # they follow the reasoning, and mean nothing without it
    return AssistantResponse(content=[TextData(text=answer), *others])


@attrs.define(kw_only=True, repr=False)
class ToolResultMessage(_Message):
    """What the called tools returned."""

    role: ClassVar[Literal["tool"]] = "tool"
    _parts = (ToolCallResultData,)
    content: list[ToolCallResultData] = attrs.field(on_setattr=_set)
    """The results, one for each call that is answered."""

    @property
    def text(self) -> str:
        """The results, each on a line of its own."""
        return "\n".join(result.content for result in self.content)


AnyChatMessage: TypeAlias = AssistantResponse | UserMessage | SystemPrompt | ToolResultMessage
"""A message of a chat, whoever it is from."""


@attrs.define(kw_only=True, repr=False)
class ChatHistoryData(LMStudioStruct):
    """The messages of a chat, oldest first."""

    messages: list[AnyChatMessage]
    """The messages, the oldest first."""


# ---- the same as dicts ----


class TextDataDict(TypedDict):
    """``TextData`` as a dict."""

    type: Literal["text"]
    text: str
    """The text."""


class FileHandleDict(TypedDict):
    """``FileHandle`` as a dict."""

    type: Literal["file"]
    name: str
    """The name of the file."""
    identifier: str
    """What names the file on the server."""
    sizeBytes: int
    """Its size in bytes."""
    fileType: str
    """What it is, as ``FileType`` lists it."""


class _ToolCallRequestRequired(TypedDict):
    type: Literal["function"]
    name: str
    """The name of the tool."""


class ToolCallRequestDict(_ToolCallRequestRequired, total=False):
    """``ToolCallRequest`` as a dict."""

    id: str
    """What names the call in its result."""
    arguments: dict[str, Any]
    """The arguments by name."""


class ToolCallRequestDataDict(TypedDict):
    """``ToolCallRequestData`` as a dict."""

    type: Literal["toolCallRequest"]
    toolCallRequest: ToolCallRequestDict
    """The request."""


class _ToolCallResultDataRequired(TypedDict):
    type: Literal["toolCallResult"]
    content: str
    """What the model is told, as text."""


class ToolCallResultDataDict(_ToolCallResultDataRequired, total=False):
    """``ToolCallResultData`` as a dict."""

    toolCallId: str
    """The id of the request that it answers."""
    name: str
    """The name of the tool."""


class SystemPromptDict(TypedDict):
    """``SystemPrompt`` as a dict."""

    role: Literal["system"]
    content: list[TextDataDict | FileHandleDict]
    """Its parts."""


class UserMessageDict(TypedDict):
    """``UserMessage`` as a dict."""

    role: Literal["user"]
    content: list[TextDataDict | FileHandleDict]
    """Its parts."""


class AssistantResponseDict(TypedDict):
    """``AssistantResponse`` as a dict."""

    role: Literal["assistant"]
    content: list[TextDataDict | FileHandleDict | ToolCallRequestDataDict]
    """Its parts: texts, files, and requests to call tools."""


class ToolResultMessageDict(TypedDict):
    """``ToolResultMessage`` as a dict."""

    role: Literal["tool"]
    content: list[ToolCallResultDataDict]
    """The results, one for each call that is answered."""


AnyChatMessageDict: TypeAlias = (
    ToolResultMessageDict | SystemPromptDict | AssistantResponseDict | UserMessageDict
)
"""A message of a chat as a dict, whoever it is from."""


class ChatHistoryDataDict(TypedDict):
    """``ChatHistoryData`` as a dict."""

    messages: list[AnyChatMessageDict]
    """The messages, the oldest first."""


# ---- what the methods of Chat accept ----


class _HasHistoryContent(Protocol):
    """A result that knows what text it leaves in the history."""

    def _to_history_content(self, reasoning: bool = True) -> str: ...


FileHandleInput: TypeAlias = FileHandle | FileHandleDict
"""A file that was uploaded."""
SystemPromptContent: TypeAlias = TextData
"""A part of a system prompt."""
UserMessageContent: TypeAlias = TextData | FileHandle
"""A part of a message of the user."""
AssistantResponseContent: TypeAlias = TextData | FileHandle
"""A part of a response of the model."""
SystemPromptInput: TypeAlias = str | TextData | TextDataDict
"""What a system prompt can be made of."""
UserMessageInput: TypeAlias = str | TextData | TextDataDict | FileHandle | FileHandleDict
"""What a part of a message of the user can be made of."""
AnyUserMessageInput: TypeAlias = UserMessageInput | Iterable[UserMessageInput]
"""What a message of the user can be made of: one part, or several."""
AssistantResponseInput: TypeAlias = str | TextData | TextDataDict | FileHandle | FileHandleDict
"""What a part of a response of the model can be made of."""
AnyAssistantResponseInput: TypeAlias = AssistantResponseInput | _HasHistoryContent
"""What a response of the model can be made of, a result of a prediction too."""
ToolCallRequestInput: TypeAlias = (
    ToolCallRequest | ToolCallRequestDict | ToolCallRequestData | ToolCallRequestDataDict
)
"""What a request to call a tool can be made of."""
ToolCallResultInput: TypeAlias = ToolCallResultData | ToolCallResultDataDict
"""What the result of a tool call can be made of."""
ChatMessageInput: TypeAlias = (
    UserMessageInput | AssistantResponseInput | ToolCallRequestInput | ToolCallResultInput
)
"""What a part of any message can be made of."""
AnyChatMessageInput: TypeAlias = ChatMessageInput | Iterable[ChatMessageInput]
"""What any message can be made of: one part, or several."""

public_module(globals())
