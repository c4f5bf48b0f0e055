"""What all parts of one server share."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from .._engines.engine import Engine
from .._engines.models_on_disk import DEFAULT_HUB, DEFAULT_MODELS, Model
from .._protocol import argument_checks as checks
from .changes import Changes
from .channel import Channel
from .journal import Journal
from .loop_thread import LoopThread
from .options import Options
from .registry import Found, Instance, Registry
from .workers import Workers

T = TypeVar("T")


@attrs.frozen
class StoredFile:
    """A file that a client has uploaded."""

    name: str
    content: bytes
    type: str

    def text(self) -> str:
        """Return the content as text."""
        return self.content.decode("utf-8", "replace")


@attrs.frozen
class Loading:
    """A model that is being loaded just in time, and the channels that wait for it."""

    found: Found
    identifier: str
    channels: set[Channel]
    task: asyncio.Task[Instance]


class Core:
    """The shared state of a server: who needs what is written at each part."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.engine: Engine = options.engine
        self.parallel: int = (
            options.engine.parallel if options.parallel is None else options.parallel
        )
        checks.whole(1)("Engine.parallel", self.parallel)
        self.loop: LoopThread = LoopThread()
        self.changes: Changes = Changes()
        self.journal: Journal = Journal()
        models = options.models
        if models is None:
            models = self.engine.models or DEFAULT_MODELS
        self.registry: Registry = Registry(models, self.changes.touch)
        self.workers: Workers = Workers(self.loop)
        self.numbers: itertools.count[int] = itertools.count()
        # Set by the loop thread: a client has asked for the end.
        self.ending: asyncio.Event = asyncio.Event()
        # The loop thread alone:
        self.hub: list[Model] = list(DEFAULT_HUB if options.hub is None else options.hub)
        self.loading: dict[tuple[str, str | None, str | None], Loading] = {}  # by `Found.which`
        self.files: dict[str, StoredFile] = {}
        self.flags: dict[str, None] = {}
        self.log_channels: frozenset[Channel] = frozenset()

    def log(self, data: dict[str, Any]) -> None:
        """Tell who streams the logs of an event. Any thread."""
        event = {"timestamp": round(time.time() * 1000), "data": data}
        for channel in self.log_channels:
            channel.send({"type": "log", "log": event})

    async def slow(self, function: Callable[[], T]) -> T:
        """Call something of the engine, in a thread of its own if the engine is slow."""
        if self.engine.blocking:
            return await self.workers.run(function, "call")
        return function()
