"""What a prediction is asked for: its history, its options, and how its reply is to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from .._api.checks import check_text
from .._api.shown import shown
from .._config.prediction_options import LlmPredictionConfig
from .._config.to_wire import (
    KvField,
    ResponseSchema,
    config_stack,
    for_raw_text,
    offer_tools,
    prediction_config_to_kv,
    wants_structured,
    with_tools,
)
from .._connection.endpoints import Endpoint, channel
from .._json.converter import DictObject
from .._json.from_json import response_class
from .._values.chat import Chat
from .._values.chat_input import hint_for_history
from .._values.messages import ChatHistoryDataDict
from ..errors import LMStudioRuntimeError, LMStudioValueError

PREDICT = channel("llm", "predict", "The prediction", "Chat response", "success")
COMPLETE = channel("llm", "predict", "The prediction", "Completion", "success")
RAW_TEXT = channel("llm", "completeRawText", "The prediction", "Completion", "success")


@attrs.frozen(kw_only=True)
class PredictionOptions:
    """All that a prediction is asked for but its history; a batch has it once for all inputs.

    Attributes:
        fields: The options as LM Studio takes them.
        preset: The name of a preset of LM Studio.
        completion: Continue a text as it is, without a chat template.
        raw_text: Continue a text by the endpoint that newer servers have for it.
        response_type: The class that a structured reply becomes.
    """

    fields: list[KvField]
    preset: str | None = None
    completion: bool = False
    raw_text: bool = False
    response_type: type | None = None

    @classmethod
    def read(
        cls,
        config: LlmPredictionConfig | DictObject | None,
        preset: str | None,
        response_format: ResponseSchema | None = None,
        *,
        completion: bool = False,
        raw_text: bool = False,
        is_strict: bool = False,
    ) -> PredictionOptions:
        """Read what users give; options that do not exist are an error if this `is_strict`.

        Raises:
            LMStudioValueError: An option, or the form of the reply, cannot be used.
        """
        if preset is not None:
            check_text(preset, "preset")
        fields = prediction_config_to_kv(config, response_format, is_strict)
        return cls(
            fields=for_raw_text(fields) if raw_text else fields,
            preset=preset,
            completion=completion,
            raw_text=raw_text,
            response_type=response_class(response_format),
        )

    @property
    def endpoint(self) -> Endpoint:
        """What is called."""
        if self.raw_text:
            return RAW_TEXT
        return COMPLETE if self.completion else PREDICT

    @property
    def structured(self) -> bool:
        """Whether a reply of a given form is asked for."""
        return wants_structured(self.fields)

    def with_tools(self, definitions: Sequence[DictObject] | None) -> PredictionOptions:
        """Return options that offer these tools instead of any others; None: no tool."""
        return attrs.evolve(self, fields=with_tools(self.fields, definitions))

    def offering(
        self, definitions: Sequence[DictObject] | None, choice: str | None
    ) -> PredictionOptions:
        """Return options that offer these tools, to be used as `choice` says.

        Raises:
            LMStudioValueError: The configuration has tools or a choice already, or there is no such
                choice.
        """
        return attrs.evolve(self, fields=offer_tools(self.fields, definitions, choice))

    def parameter(self, specifier: dict[str, Any], history: dict[str, Any]) -> dict[str, Any]:
        """Return the parameter of a prediction by a model; of raw text, `history` has the text."""
        parameter: dict[str, Any] = {
            "modelSpecifier": specifier,
            **(history if self.raw_text else {"history": history}),
            "predictionConfigStack": config_stack(self.fields, completion=self.completion),
        }
        if self.preset is not None:
            parameter["fuzzyPresetIdentifier"] = self.preset
        return parameter


def chat_history(history: Chat | ChatHistoryDataDict | str) -> dict[str, Any]:
    """Return a chat as JSON data.

    Raises:
        LMStudioValueError: It is no chat.
    """
    chat = history if isinstance(history, Chat) else Chat.from_history(history)
    return chat._to_wire()


def completion_history(prompt: str) -> dict[str, Any]:
    """Return the text that is to be continued as JSON data.

    Raises:
        LMStudioValueError: It is no text.
    """
    return chat_history(_check_prompt(prompt))


def raw_prompt(prompt: str) -> dict[str, Any]:
    """Return the text that stands in the place of a history where raw text is continued.

    Raises:
        LMStudioValueError: It is no text.
    """
    return {"rawPrompt": _check_prompt(prompt)}


def _check_prompt(prompt: str) -> str:
    if not isinstance(prompt, str):
        raise _no_prompt(prompt)
    return prompt


def _no_prompt(given: Any) -> LMStudioValueError:
    hint = hint_for_history(given)
    if isinstance(given, (Chat, Mapping, list, tuple)):
        hint = " For a chat there is respond(), for several texts complete_many()."
    return LMStudioValueError(f"A completion prompt is a string; {shown(given)} was given.{hint}")


def files_in(history: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files in a chat, which is JSON data; a raw text has none."""
    return [
        part
        for message in history.get("messages", ())
        for part in message["content"]
        if part.get("type") == "file"
    ]


def check_files(history: dict[str, Any], foreign: frozenset[str]) -> None:
    """Check that the files in a chat belong to this process.

    Args:
        history: The chat as JSON data.
        foreign: The identifiers of files that do not.

    Raises:
        LMStudioRuntimeError: One does not.
    """
    if not foreign:
        return
    for file in files_in(history):
        if file.get("identifier") in foreign:
            raise LMStudioRuntimeError(
                f"The file {file.get('name')!r} was uploaded by the parent process, to which it "
                "belongs. Upload it again here, after the fork; or use an api_token, with which "
                "both are one client to LM Studio."
            )
