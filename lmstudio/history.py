"""The official package's module of this name: chats and their parts."""

from typing import TYPE_CHECKING

from ._api.official_path import hand_on

if TYPE_CHECKING:
    from . import *
    from ._values.messages import *
else:
    __all__, __getattr__, __dir__ = hand_on(
        __name__,
        """
        AnyChatMessage AnyChatMessageDict AssistantResponse AssistantResponseContent Chat
        ChatHistoryData ChatHistoryDataDict FileHandle FileHandleDict FileHandleInput FileType
        LocalFileInput SystemPrompt SystemPromptContent TextData TextDataDict ToolCallRequest
        ToolCallResultData ToolResultMessage UserMessage UserMessageContent UserMessageDict
        """,
    )
