"""A chat: the messages that a prediction answers to, and the rules for adding to them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast, get_args, overload

from .._api.backports import Self
from .._api.public import public
from .._json.converter import format_json, unstructure
from ..errors import LMStudioRuntimeError, LMStudioValueError
from .chat_input import (
    as_parts,
    image_part,
    response_part,
    response_text,
    role_and_content,
    text_or_file,
    tool_call_request,
    tool_call_result,
)
from .messages import (
    AnyAssistantResponseInput,
    AnyChatMessage,
    AnyChatMessageDict,
    AnyChatMessageInput,
    AssistantResponse,
    ChatHistoryData,
    ChatHistoryDataDict,
    FileHandle,
    FileHandleInput,
    SystemPrompt,
    SystemPromptInput,
    TextData,
    ToolCallRequestData,
    ToolCallRequestInput,
    ToolCallResultInput,
    ToolResultMessage,
    UserMessage,
    UserMessageInput,
)


class _SavedHistory(dict[str, Any]):
    """What `Chat.to_dict()` returns: `Chat.from_history()` takes it for what it is, a whole chat.

    In another dict user messages that follow each other become one, as when they are added. A copy
    or a pickle of it is such a dict.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class Chat:
    """The messages of a conversation, oldest first.

    A chat is a sequence of messages: ``len(chat)``, ``chat[-1]``, ``for message in chat``; a slice
    is a chat of its own. It is always true, also when it is empty.

    Args:
        initial_prompt: the system prompt to start with.

    Raises:
        LMStudioValueError: the prompt is not a text.

    Thread safety: not shared while it changes. A prediction takes a copy when it is made, so the
    chat may change as soon as ``respond_stream()`` has returned.
    """

    # Equality is by content, and content changes.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, initial_prompt: SystemPromptInput | None = None) -> None:
        self._history = ChatHistoryData(messages=[])
        if initial_prompt is not None:
            self.add_system_prompt(initial_prompt)

    # ---- making, copying, saving ----

    @classmethod
    def from_history(cls, history: str | Chat | ChatHistoryData | ChatHistoryDataDict) -> Self:
        """Make a new chat that shares nothing with ``history``.

        Args:
            history: a text, which becomes one user message; a chat; or ``{"messages": [...]}``, in
                which a message is a dict with ``role`` and ``content`` (or such a pair, or a
                message object), and a plain string stands for a text. The messages of such a dict
                are added one by one, so that user messages merge; a chat and ``ChatHistoryData``,
                and what ``to_dict()`` returned, are taken as they are.

        Raises:
            LMStudioValueError: it cannot be read as messages.
            LMStudioRuntimeError: in a dict, two system prompts or two responses follow each other.
        """
        chat = cls()
        if isinstance(history, Chat):
            chat._history = copy.deepcopy(history._history)
        elif isinstance(history, ChatHistoryData):
            chat._history = ChatHistoryData.from_dict(history.to_dict())
        elif isinstance(history, str):
            chat.add_user_message(history)
        elif isinstance(history, _SavedHistory) and (saved := _saved(history)):
            chat._history = saved
        else:
            messages: Any = history.get("messages") if isinstance(history, Mapping) else None
            if isinstance(messages, (str, Mapping)) or not isinstance(messages, Iterable):
                raise LMStudioValueError(
                    'A history is a text, a chat, or a dict {"messages": [...]}, not '
                    f"{history!r}."
                )
            for entry in messages:
                chat.add_entry(*role_and_content(entry))
            # The entries may hold objects of the caller's, as parts or as tool arguments.
            chat._history = copy.deepcopy(chat._history)
        return chat

    def copy(self) -> Self:
        """Return a chat with the same messages; changing one does not change the other."""
        return self.from_history(self)

    __copy__ = copy

    def __deepcopy__(self, _memo: object) -> Self:
        return self.copy()

    def to_dict(self) -> ChatHistoryDataDict:
        """Return ``{"messages": [...]}``, which ``from_history()`` takes."""
        return cast(ChatHistoryDataDict, _SavedHistory(unstructure(self._history)))

    def _to_wire(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.to_dict())

    def to_json(self) -> str:
        """Return the chat as JSON text, which ``from_json()`` takes."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Make a chat from what ``to_json()`` returned.

        Raises:
            LMStudioValueError: it is not the JSON of a chat.
        """
        try:
            history = json.loads(text)
        except ValueError as exc:
            raise LMStudioValueError(f"A saved chat must be JSON: {exc}.") from None
        if not isinstance(history, dict):
            raise LMStudioValueError("A saved chat is a JSON object with messages.")
        return cls.from_history(cast(ChatHistoryDataDict, _SavedHistory(history)))

    # ---- a sequence of messages ----

    def __len__(self) -> int:
        return len(self._history.messages)

    def __bool__(self) -> bool:
        # "chat or Chat()" must not replace an empty chat that the caller goes on to use.
        return True

    def __iter__(self) -> Iterator[AnyChatMessage]:
        return iter(self._history.messages)

    @overload
    def __getitem__(self, index: int) -> AnyChatMessage: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> AnyChatMessage | Self:
        if isinstance(index, slice):
            chat = type(self)()
            chat._history = copy.deepcopy(ChatHistoryData(messages=self._history.messages[index]))
            return chat
        return self._history.messages[index]

    def __eq__(self, other: object) -> bool:
        return self._history == other._history if isinstance(other, Chat) else NotImplemented

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self)} messages>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.from_history({format_json(self.to_dict())})"

    # ---- adding ----

    def append(self, message: AnyChatMessage | AnyChatMessageDict) -> AnyChatMessage:
        """Add a copy of a message.

        Returns:
            The message in the chat; for a user message after another one, the two merged.

        Raises:
            LMStudioValueError: it is not a message.
            LMStudioRuntimeError: a system prompt or response follows another one.
        """
        if not isinstance(message, (dict, *get_args(AnyChatMessage))):
            raise LMStudioValueError(f"A message is a dict or a message object, not {message!r}.")
        role, content = role_and_content(message)
        return self.add_entry(role, copy.deepcopy(content))

    def add_entry(self, role: str, content: AnyChatMessageInput) -> AnyChatMessage:
        """Add a message of the given role.

        Args:
            role: ``system``, ``user``, ``assistant`` or ``tool``.
            content: what the method for this role takes; for ``system`` and ``assistant`` also a
                list of texts and files, for ``assistant`` with tool call requests among them.

        Raises:
            LMStudioValueError: an unknown role, or content that does not fit it.
            LMStudioRuntimeError: a system prompt or response follows another one.
        """
        # The content is data of any shape; the method for the role checks it.
        parts: list[Any] = as_parts(content)
        if role == "user":
            return self.add_user_message(parts)
        if role == "tool":
            return self.add_tool_results(parts)
        if role not in ("system", "assistant"):
            raise LMStudioValueError(
                f"The role of a message is system, user, assistant or tool, not {role!r}."
            )
        if not parts:
            raise LMStudioValueError(f"A message of role {role!r} cannot be empty.")
        if role == "assistant":
            return self._add_response([response_part(part) for part in parts])
        return self._add_prompt([text_or_file(part, "A system prompt") for part in parts])

    def add_system_prompt(self, prompt: SystemPromptInput) -> SystemPrompt:
        """Add a system prompt.

        Args:
            prompt: a text, as a string, ``TextData`` or ``{"text": ...}``.

        Raises:
            LMStudioValueError: it is not a text.
            LMStudioRuntimeError: the last message is a system prompt.
        """
        part = text_or_file(prompt, "A system prompt")
        if not isinstance(part, TextData):
            raise LMStudioValueError(f"A system prompt is a text, not {prompt!r}.")
        return self._add_prompt([part])

    def _add_prompt(self, content: list[TextData | FileHandle]) -> SystemPrompt:
        self._refuse_second("system", "System prompt")
        message = SystemPrompt(content=content)
        self._history.messages.append(message)
        return message

    def add_user_message(
        self,
        content: UserMessageInput | Iterable[UserMessageInput],
        *,
        images: Sequence[FileHandleInput] = (),
    ) -> UserMessage:
        """Add what the user said; if the last message is the user's too, this becomes part of it.

        Args:
            content: a text or file handle, or several; dicts as in the history are fine.
            images: file handles from ``prepare_image()``.

        Raises:
            LMStudioValueError: a part is neither text nor file handle, or there is none; an image
                is no file handle.
        """
        parts = [text_or_file(part, "A user message") for part in as_parts(content)]
        parts += [image_part(image) for image in as_parts(images)]
        last = self._history.messages[-1] if self._history.messages else None
        if isinstance(last, UserMessage):
            last.content.extend(parts)
            return last
        if not parts:
            raise LMStudioValueError("A user message cannot be empty.")
        message = UserMessage(content=parts)
        self._history.messages.append(message)
        return message

    def add_assistant_response(
        self,
        response: AnyAssistantResponseInput,
        tool_call_requests: Iterable[ToolCallRequestInput] = (),
    ) -> AssistantResponse:
        """Add what the model said.

        Args:
            response: a text, or the result of a prediction.
            tool_call_requests: the tool calls it asked for.

        Raises:
            LMStudioValueError: an argument has no such form.
            LMStudioRuntimeError: the last message is a response.
        """
        requests = map(tool_call_request, tool_call_requests)
        return self._add_response([response_text(response), *requests])

    def _add_response(
        self, content: list[TextData | FileHandle | ToolCallRequestData]
    ) -> AssistantResponse:
        self._refuse_second("assistant", "Assistant response")
        message = AssistantResponse(content=content)
        self._history.messages.append(message)
        return message

    def add_tool_results(self, results: Iterable[ToolCallResultInput]) -> ToolResultMessage:
        """Add the results of several tool calls as one message.

        Raises:
            LMStudioValueError: one is not a tool result.
        """
        message = ToolResultMessage(content=[tool_call_result(result) for result in results])
        self._history.messages.append(message)
        return message

    def add_tool_result(self, result: ToolCallResultInput) -> ToolResultMessage:
        """Add the result of one tool call as a message.

        Raises:
            LMStudioValueError: it is not a tool result.
        """
        return self.add_tool_results([result])

    def _refuse_second(self, role: str, what: str) -> None:
        if self._history.messages and self._history.messages[-1].role == role:
            raise LMStudioRuntimeError(
                f"{what} after {what.lower()}: the model takes only one at a time."
            )


def _saved(history: _SavedHistory) -> ChatHistoryData | None:
    try:
        saved = ChatHistoryData.from_dict(history)
    except LMStudioValueError:
        return None
    # Otherwise it was edited, or written by hand, in one of the looser forms.
    return saved if saved.to_dict() == history else None


public(Chat)
