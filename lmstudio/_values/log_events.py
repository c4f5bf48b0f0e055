"""What LM Studio tells of itself while it works: the events of its log."""

from typing import Any, ClassVar

import attrs

from .._api.public import public_module
from .._json.converter import LMStudioStruct
from .results import LlmPredictionStats


@attrs.frozen(kw_only=True, repr=False)
class DiagnosticsLogEventData(LMStudioStruct):
    """What happened. Each type of event has some of the attributes, the others are None.

    Attributes:
        type: ``llm.prediction.input``, ``llm.prediction.output``, ``server.log``, ``runtime.log``,
            or what a newer server may name.
        model_identifier: which loaded model it is about.
        model_path: its file, of an input.
        input: the whole text that the model is given, the chat template applied, of an input.
        output: the whole text that it has generated, of an output.
        stats: statistics of the prediction, of an output, if the server is told to log them.
        level: ``debug``, ``info``, ``warn`` or ``error``, of a log.
        content: the text of a ``server.log``.
        message: the text of a ``runtime.log``.
        engine_name: the engine that wrote a ``runtime.log``.
        engine_version: its version.
        engine_type: its kind.
        instance_reference: names the very instance that it is about, of a ``runtime.log``.
        pid: the engine's process, of a ``runtime.log``.
        extra: what the server said beyond this, by its JSON keys.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    type: str = ""
    model_identifier: str | None = None
    model_path: str | None = None
    input: str | None = None
    output: str | None = None
    stats: LlmPredictionStats | None = None
    level: str | None = None
    content: str | None = None
    message: str | None = None
    engine_name: str | None = None
    engine_version: str | None = None
    engine_type: str | None = None
    instance_reference: str | None = None
    pid: int | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True, repr=False)
class DiagnosticsLogEvent(LMStudioStruct):
    """An event of LM Studio's log.

    Attributes:
        timestamp: when it happened, in milliseconds since 1970; 0.0 if the server does not say.
        data: what happened.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    timestamp: float = 0.0
    data: DiagnosticsLogEventData


public_module(globals())
