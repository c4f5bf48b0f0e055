"""The channels `predict` and `completeRawText`."""

from __future__ import annotations

import asyncio
from typing import Any

from .._core.channel import Channel
from .._core.core import Core
from .._core.prediction import Prediction
from .._core.registry import Found, Instance
from .._engines.engine import text_of
from .._protocol import errors
from .._protocol.packets import merge_layers
from .generation import Generation

_COMPLETE_LAYER = "completeModeFormatting"
_DRAFT = "llm.prediction.speculativeDecoding.draftModel"


def find_instance(core: Core, parameter: dict[str, Any]) -> Instance | None:
    """Return the loaded model that a prediction asks for, if there is one. Loop thread."""
    try:
        return core.registry.find("llm", parameter["modelSpecifier"])
    except errors.EndpointError:
        return None


def new_record(core: Core, instance: Instance, parameter: dict[str, Any]) -> Prediction:
    """Record a new prediction. Loop thread."""
    fields = merge_layers(parameter["predictionConfigStack"])
    messages = parameter.get("history", {}).get("messages", [])
    prompt = raw_prompt(parameter)
    if prompt is None and not core.engine.blocking:
        prompt = core.engine.apply_template(instance.model, messages)
    record = Prediction(
        core.changes,
        instance.identifier,
        prompt,
        messages,
        {field["key"]: field.get("value") for field in fields},
    )
    core.journal.predictions.append(record)
    core.changes.touch()
    return record


def raw_prompt(parameter: dict[str, Any]) -> str | None:
    """Return the text to continue, if this is a completion and not a chat."""
    if "rawPrompt" in parameter:
        return str(parameter["rawPrompt"])
    layers = parameter["predictionConfigStack"]["layers"]
    if any(layer["layerName"] == _COMPLETE_LAYER for layer in layers):
        return "".join(text_of(message) for message in parameter["history"]["messages"])
    return None


async def predict(core: Core, channel: Channel, parameter: dict[str, Any]) -> None:
    """Serve a prediction from the query to the success packet."""
    preset = parameter.get("fuzzyPresetIdentifier")
    if preset is not None and preset not in core.options.presets:
        raise errors.preset_not_found(preset, core.options.presets)
    instance = core.registry.find("llm", parameter["modelSpecifier"])
    _check_images(core, instance, parameter)
    fields = merge_layers(parameter["predictionConfigStack"])
    draft = _draft(core, fields)
    # Nothing is awaited before its turn: predictions run in the order in which they came.
    record = new_record(core, instance, parameter)
    raw = raw_prompt(parameter) is not None
    script = core.engine.admit()
    generation = Generation(core, channel, instance, record, raw, fields, script, draft)

    def cancel() -> None:
        record.note_cancel()
        generation.stop("userStopped")

    channel.on_cancel = cancel
    if channel.cancelled.is_set():
        cancel()
    core.registry.use(instance)
    instance.running.add(generation)
    try:
        await _in_turn(core, channel, instance, generation)
    finally:
        # Also when the task was cancelled: the connection is gone, or the server closes.
        generation.abandon()
        instance.running.discard(generation)
        core.registry.use(instance)
        core.registry.rest(instance)


def _draft(core: Core, fields: list[dict[str, Any]]) -> Found | None:
    """Return the draft model, if one is wanted."""
    for field in fields:
        name = field.get("value")
        if field["key"] == _DRAFT and isinstance(name, str) and name:
            return core.registry.draft(name)
    return None


def _check_images(core: Core, instance: Instance, parameter: dict[str, Any]) -> None:
    """Refuse images for a model that cannot see."""
    messages = parameter.get("history", {}).get("messages", ())
    parts = [part for message in messages for part in message["content"]]
    if not instance.model.vision and any(part.get("fileType") == "image" for part in parts):
        seeing = [one.key for one in core.registry.models if one.vision]
        raise errors.no_vision(instance.model.key, seeing)


async def _in_turn(
    core: Core, channel: Channel, instance: Instance, generation: Generation
) -> None:
    try:
        entered = await instance.enter(instance.places(core.parallel), generation.stopped)
    except asyncio.CancelledError:
        generation.record.note_end(None, "connection lost")
        raise
    if not entered:
        generation.finish_unstarted()
        return
    worker = core.workers.run(generation.run, "prediction")
    # The slot is free when the engine has really ended, also if the client is long gone.
    worker.add_done_callback(lambda done: instance.leave())
    if not await asyncio.shield(worker):
        await channel.never()
