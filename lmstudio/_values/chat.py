"""A chat: the messages that a prediction answers to, and the rules for adding to them."""

from __future__ import annotations

import copy
import itertools
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast, get_args, overload

from .._api.backports import Self
from .._api.public import public
from .._api.shown import shortened, shown, worded
from .._json.annotations import json_default
from .._json.converter import format_json, unstructure
from ..errors import LMStudioRuntimeError, LMStudioValueError
from .chat_input import (
    as_parts,
    hint_for_history,
    hint_for_message,
    image_part,
    prompt_text,
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
    without_reasoning,
)

# What an error calls the messages of which no two may follow each other.
_ALONE = {
    "system": "system prompts",
    "user": "user messages",
    "assistant": "assistant responses",
}


class _SavedHistory(dict[str, Any]):
    """What `Chat.to_dict()` returns: `Chat.from_history()` takes it for what it is, a whole chat.

    In another dict user messages that follow each other become one, as when they are added. A copy
    or a pickle of it is such a dict.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


# Messages that `act()` tells of once more, since Ctrl-C came the first time; by identity.
told_again: dict[int, object] = {}


class Chat:
    """The messages of a conversation, oldest first.

    A chat is a sequence of messages: ``len(chat)``, ``chat[-1]``, ``for message in chat``; a slice
    is a chat of its own. It is always true, also when it is empty. ``chat[-1] = message`` and
    ``del chat[-1]`` edit it. A chat is equal to itself only, and may be a key of a dict;
    ``list(chat) == list(other)`` compares what they say.

    Nothing that is added or removed brings two messages of one role together, but tool results:
    for system prompts and responses that is an error, and user messages become one.

    Args:
        initial_prompt: the system prompt to start with.

    Raises:
        LMStudioValueError: the prompt is not a text.

    Thread safety: not shared while it changes. A prediction takes a copy when it is made, so the
    chat may change as soon as ``respond_stream()`` has returned.
    """

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
            LMStudioValueError: it cannot be read as messages, or a file is in a system prompt.
            LMStudioRuntimeError: in a dict, two system prompts or two responses follow each other.
        """
        chat = cls()
        if isinstance(history, Chat):
            chat._history = copy.deepcopy(history._history)
        elif isinstance(history, ChatHistoryData):
            chat._history = ChatHistoryData.from_dict(history.to_dict())
            chat._refuse_files_in_prompts()
        elif isinstance(history, str):
            chat.add_user_message(history)
        elif isinstance(history, _SavedHistory) and (saved := _saved(history)):
            chat._history = saved
            chat._refuse_files_in_prompts()
        else:
            messages: Any = history.get("messages") if isinstance(history, Mapping) else None
            if isinstance(messages, (str, Mapping)) or not isinstance(messages, Iterable):
                raise LMStudioValueError(
                    f"Expected {cls.__name__}, ChatHistoryData, or a dict with a 'messages' key, "
                    f"or a text, not {shown(history)}.{hint_for_history(history)}"
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
        for message in self._history.messages:
            message._check_content(message.content)  # which may have been changed in place
        return cast("dict[str, Any]", self.to_dict())

    def to_json(self) -> str:
        """Return the chat as JSON text, which ``from_json()`` takes."""
        return json.dumps(self.to_dict(), ensure_ascii=False, default=json_default)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Make a chat from what ``to_json()`` returned.

        Raises:
            LMStudioValueError: it is not the JSON of a chat.
        """
        try:
            history = json.loads(text)
            if not isinstance(history, dict):
                raise LMStudioValueError("A saved chat is a JSON object with messages.")
            return cls.from_history(cast(ChatHistoryDataDict, _SavedHistory(history)))
        except RecursionError:
            raise LMStudioValueError("A saved chat must not be nested so deeply.") from None
        except LMStudioValueError:
            raise
        except (TypeError, ValueError) as exc:
            raise LMStudioValueError(f"A saved chat must be JSON: {exc}.") from None

    @classmethod
    def from_openai(
        cls,
        messages: Iterable[Any],
        *,
        prepare_image: Callable[[bytes], FileHandleInput] | None = None,
    ) -> Self:
        """Make a chat from the ``messages`` of OpenAI's chat completions API.

        Messages of one role that follow each other become one: texts of system prompts are joined
        by a blank line, other parts stand one after the other. ``developer`` is ``system``. What
        LM Studio has no place for (``name`` of a user, ``detail`` of an image) is left out.

        Args:
            messages: dicts with ``role``, ``content`` (a text, a list of parts, or None) and
                ``tool_calls`` or ``tool_call_id``; or such objects of the package ``openai``.
            prepare_image: called with the bytes of each image, once all messages could be read;
                returns its file handle: ``client.prepare_image``. Images must be given as
                ``data:`` URLs in base64; nothing is fetched.

        Raises:
            LMStudioValueError: a message cannot be read, or there is an image and no
                ``prepare_image``; the text says which, as in ``messages[2].content[0]``.
            LMStudioError: whatever ``prepare_image`` raises.
        """
        from .openai_messages import from_openai  # not needed by most programs

        chat = cls()
        chat._history.messages = from_openai(messages, prepare_image)
        return chat

    def to_openai(
        self, *, image_url: Callable[[FileHandle], str | None] | None = None
    ) -> list[dict[str, Any]]:
        """Return the chat as the ``messages`` of OpenAI's chat completions API.

        Each tool result becomes a message of its own. Texts are as they are in the chat, reasoning
        included; ids of tool calls that the chat does not have are left out.

        Args:
            image_url: called with each file handle; returns a URL of the image (``https:`` or
                ``data:``), or None to leave it out. What was uploaded cannot be had back from
                LM Studio, so a program that needs it keeps it, as `lmstudio.data_url()` makes it.

        Raises:
            LMStudioValueError: there is a file and no ``image_url``, or it returned no text.
        """
        from .openai_messages import to_openai

        return to_openai(self._history.messages, image_url)

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
        try:
            return self._history.messages[index]
        except TypeError:
            raise TypeError(
                f"The messages of a chat have numbers, as in chat[-1]; {shown(index)} was given."
            ) from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self)} messages>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.from_history({format_json(self.to_dict())})"

    @overload
    def last_message(self, role: Literal["system"]) -> SystemPrompt | None: ...
    @overload
    def last_message(self, role: Literal["user"]) -> UserMessage | None: ...
    @overload
    def last_message(self, role: Literal["assistant"]) -> AssistantResponse | None: ...
    @overload
    def last_message(self, role: Literal["tool"]) -> ToolResultMessage | None: ...
    @overload
    def last_message(self, role: str | None = None) -> AnyChatMessage | None: ...
    def last_message(self, role: str | None = None) -> AnyChatMessage | None:
        """Return the last message; None if the chat is empty, or if that one has another role."""
        last = self._history.messages[-1] if self._history.messages else None
        return last if last is not None and role in (None, last.role) else None

    def _get_history(self) -> ChatHistoryDataDict:
        return self.to_dict()  # programs use this name of the official package

    def _get_last_message(self, role: str) -> AnyChatMessage | None:
        # Programs use this name of the official package's.
        return self.last_message(role)

    # ---- editing ----

    def __setitem__(self, index: int, message: AnyChatMessage | AnyChatMessageDict) -> None:
        """Put a copy of a message in the place of another.

        Raises:
            IndexError: there is none at this index.
            LMStudioValueError: it is not a message, or the index is a slice or no index.
            LMStudioRuntimeError: it would stand beside a message of its role; nothing is changed.
        """
        if not hasattr(index, "__index__"):  # a slice, above all
            raise LMStudioValueError(
                f"One message at a time can be replaced, by its index (not {shown(index)}): "
                "chat[index] = message. del chat[start:end] removes several, append() adds one."
            )
        messages = self._history.messages
        at = list(range(len(messages)))[operator.index(index)]
        new = Chat().append(message)
        if new.role != messages[at].role:
            for beside in (*messages[max(0, at - 1) : at], *messages[at + 1 : at + 2]):
                self._refuse_pair(beside, new)
        messages[at] = new

    def __delitem__(self, index: int | slice) -> None:
        """Remove a message, or several; user messages that follow each other then become one.

        A response with tool calls is answered by the tool results after it, so they belong
        together: ``del chat[2:4]``.

        Raises:
            IndexError: there is none at this index.
            LMStudioRuntimeError: two system prompts or two responses would follow each other;
                nothing is changed.
        """
        messages = self._history.messages
        found = list(range(len(messages)))[index]
        gone = set(found) if isinstance(found, list) else {found}
        kept = [at for at in range(len(messages)) if at not in gone]
        met = [(a, b) for a, b in itertools.pairwise(kept) if b - a > 1]
        joined = {b for a, b in met if messages[a].role == messages[b].role == "user"}
        for a, b in met:
            if b not in joined:
                self._refuse_pair(messages[a], messages[b])
        left: list[AnyChatMessage] = []
        for at in kept:
            if at in joined:
                left[-1].content.extend(messages[at].content)  # type: ignore[arg-type]
            else:
                left.append(messages[at])
        messages[:] = left

    def pop(self, index: int = -1) -> AnyChatMessage:
        """Remove a message and return it; see ``del chat[index]``.

        Raises:
            IndexError: there is none at this index.
            LMStudioRuntimeError: two system prompts or two responses would follow each other.
        """
        message = self._history.messages[index]
        del self[index]
        return message

    def drop_last_response(self) -> list[AnyChatMessage]:
        """Remove the responses and tool results at the end, so that the model can answer anew.

        The chat then ends with the user's message (or is what was before any).

        Returns:
            What was removed, oldest first; nothing, if the chat does not end with a response.
        """
        at = len(self)
        while at and self._history.messages[at - 1].role in ("assistant", "tool"):
            at -= 1
        return self._cut(at)

    def drop_last_turn(self) -> list[AnyChatMessage]:
        """Remove the last user message and everything after it.

        Returns:
            What was removed, oldest first; nothing, if there is no user message.
        """
        turns = [at for at, message in enumerate(self._history.messages) if message.role == "user"]
        return self._cut(turns[-1]) if turns else []

    def _cut(self, at: int) -> list[AnyChatMessage]:
        removed = self._history.messages[at:]
        del self._history.messages[at:]
        return removed

    def replace_system_prompt(self, prompt: SystemPromptInput | None) -> None:
        """Replace the system prompt that the chat begins with.

        A chat that does not begin with one gets it. System prompts further on stay as they are.

        Args:
            prompt: a text, as for ``add_system_prompt()``; None to have none.

        Raises:
            LMStudioValueError: it is not a text.
        """
        messages = self._history.messages
        new = [] if prompt is None else [SystemPrompt(content=[prompt_text(prompt)])]
        has_one = bool(messages) and messages[0].role == "system"
        messages[: int(has_one)] = new

    # ---- adding ----

    def append(
        self, message: AnyChatMessage | AnyChatMessageDict, *, reasoning: bool = True
    ) -> AnyChatMessage:
        """Add a copy of a message.

        Args:
            message: The message.
            reasoning: Whether a response keeps its reasoning; False leaves it out, with its marks.

        Returns:
            The message in the chat; for a user message after another one, the two merged.

        Raises:
            LMStudioValueError: it is not a message.
            LMStudioRuntimeError: a system prompt or response follows another one.
        """
        if not isinstance(message, (dict, *get_args(AnyChatMessage))):
            raise LMStudioValueError(
                f"{shown(message)} is not a valid chat entry: that is a dict, as "
                "{'role': 'user', 'content': 'text'}, or a message object."
                f"{hint_for_message(message)}"
            )
        wanted = message
        if isinstance(message, AssistantResponse) and not reasoning:
            wanted = without_reasoning(message)
        if id(message) in told_again:
            last = self._history.messages[-1] if self._history.messages else None
            if last == wanted:
                return last
        role, content = role_and_content(wanted)
        added = self.add_entry(role, copy.deepcopy(content))
        if isinstance(added, AssistantResponse) and not reasoning and isinstance(message, dict):
            added.content = without_reasoning(added).content
        return added

    def add_entry(self, role: str, content: AnyChatMessageInput) -> AnyChatMessage:
        """Add a message of the given role.

        Args:
            role: ``system``, ``user``, ``assistant`` or ``tool``.
            content: what the method for this role takes; for ``system`` also a list of
                texts, for ``assistant`` one of texts, files and tool call requests.

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
                f"Unknown history role: {shortened(worded(role))}. It is system, user, assistant "
                "or tool."
            )
        if role == "assistant":
            if not parts:
                raise LMStudioValueError(
                    "Unable to parse assistant response content: a response cannot be empty."
                )
            return self._add_response([response_part(part) for part in parts])
        if not parts:
            raise LMStudioValueError("Unable to parse system prompt: it cannot be empty.")
        return self._add_prompt([prompt_text(part) for part in parts])

    def add_system_prompt(self, prompt: SystemPromptInput) -> SystemPrompt:
        """Add a system prompt.

        Args:
            prompt: a text, as a string, ``TextData`` or ``{"text": ...}``.

        Raises:
            LMStudioValueError: it is not a text.
            LMStudioRuntimeError: the last message is a system prompt.
        """
        return self._add_prompt([prompt_text(prompt)])

    def _add_prompt(self, content: Iterable[TextData]) -> SystemPrompt:
        message = SystemPrompt(content=list(content))
        self._refuse_second(message)
        self._history.messages.append(message)
        return message

    def add_user_message(
        self,
        content: UserMessageInput | Iterable[UserMessageInput],
        *,
        images: Sequence[FileHandleInput] | None = (),
    ) -> UserMessage:
        """Add what the user said; if the last message is the user's too, this becomes part of it.

        Args:
            content: a text or file handle, or several; dicts as in the history are fine.
            images: file handles from ``prepare_image()``; None for none.

        Raises:
            LMStudioValueError: a part is neither text nor file handle, or there is none and no
                message to add to; an image is no file handle.
        """
        parts = [text_or_file(part, "user message content") for part in as_parts(content)]
        if images is not None:
            parts += [image_part(image) for image in as_parts(images)]
        last = self.last_message("user")
        if last is not None:
            last.content.extend(parts)
            return last
        if not parts:
            raise LMStudioValueError("Empty user messages are not supported.")
        message = UserMessage(content=parts)
        self._history.messages.append(message)
        return message

    def add_assistant_response(
        self,
        response: AnyAssistantResponseInput,
        tool_call_requests: Iterable[ToolCallRequestInput] = (),
        *,
        reasoning: bool = True,
    ) -> AssistantResponse:
        """Add what the model said.

        Args:
            response: a text, or the result of a prediction.
            tool_call_requests: the tool calls it asked for.
            reasoning: whether its reasoning is kept, with the marks around it; False leaves it out
                (and line breaks after it), as models that reason are mostly given a chat: of a
                result what is marked so, of a text what stands between ``<think>`` and
                ``</think>`` at its beginning.

        Raises:
            LMStudioValueError: an argument has no such form.
            LMStudioRuntimeError: the last message is a response.
        """
        requests = map(tool_call_request, as_parts(tool_call_requests))
        return self._add_response([response_text(response, reasoning), *requests])

    def _add_response(
        self, content: list[TextData | FileHandle | ToolCallRequestData]
    ) -> AssistantResponse:
        message = AssistantResponse(content=content)
        self._refuse_second(message)
        self._history.messages.append(message)
        return message

    def add_tool_results(self, results: Iterable[ToolCallResultInput]) -> ToolResultMessage:
        """Add the results of several tool calls as one message.

        Raises:
            LMStudioValueError: one is not a tool result.
        """
        message = ToolResultMessage(content=[tool_call_result(part) for part in as_parts(results)])
        self._history.messages.append(message)
        return message

    def add_tool_result(self, result: ToolCallResultInput) -> ToolResultMessage:
        """Add the result of one tool call as a message.

        Raises:
            LMStudioValueError: it is not a tool result.
        """
        return self.add_tool_results([result])

    # ---- the rules ----

    def _refuse_second(self, message: AnyChatMessage) -> None:
        if self._history.messages:
            self._refuse_pair(self._history.messages[-1], message)

    def _refuse_pair(self, one: AnyChatMessage, other: AnyChatMessage) -> None:
        if one.role == other.role in _ALONE:
            raise LMStudioRuntimeError(
                f"Multi-part or consecutive {_ALONE[one.role]} are not supported: a message of "
                "another role has to stand between two of them."
            )

    def _refuse_files_in_prompts(self) -> None:
        for message in self._history.messages:
            if isinstance(message, SystemPrompt):
                for file in message.files:
                    prompt_text(file)


def _saved(history: _SavedHistory) -> ChatHistoryData | None:
    try:
        saved = ChatHistoryData.from_dict(history)
    except LMStudioValueError:
        return None
    # Otherwise it was edited, or written by hand, in one of the looser forms.
    return saved if saved.to_dict() == history else None


public(Chat)
