"""What all parts of one server share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from .._calls.holds import Holds
from .._engines.engine import Engine
from .._engines.models_on_disk import Model
from .journal import Journal
from .loop_thread import LoopThread
from .options import Options
from .registry import Registry
from .workers import Workers

if TYPE_CHECKING:
    from .._endpoints.files import StoredFile
    from .._endpoints.load import Loading

T = TypeVar("T")


class Core:
    """The shared state of a server: who needs what is written at each part."""

    def __init__(
        self, options: Options, engine: Engine, models: Sequence[Model], hub: Sequence[Model]
    ) -> None:
        self.options = options
        self.engine = engine
        self.loop = LoopThread()
        self.journal = Journal()
        self.registry = Registry(models, self.journal.touch)
        self.workers = Workers(self.loop)
        self.holds = Holds(self)
        self.numbers = itertools.count()
        # The loop thread alone:
        self.hub = list(hub)
        self.loading: dict[str, Loading] = {}
        self.files: dict[str, StoredFile] = {}
        self.flags: dict[str, None] = {}

    async def slow(self, function: Callable[[], T]) -> T:
        """Call something of the engine, in a thread of its own if the engine is slow."""
        if self.engine.blocking:
            return await self.workers.run(function, "call")
        return function()
