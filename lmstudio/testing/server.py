"""The embedded server: start it, script it, answer for it, and read what it has seen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar

from ._calls.call import Call
from ._calls.holds import Holds
from ._calls.listener import Listener
from ._calls.records import Records
from ._core.core import Core
from ._core.loop_thread import logger
from ._core.options import Options, as_list, check_settings
from ._engines.engine import Engine, Token, ToolCall
from ._engines.make_reply import make_reply
from ._engines.models_on_disk import (
    DEFAULT_HUB,
    DEFAULT_MODELS,
    Model,
    first_of_each,
)
from ._engines.scripted import ScriptedEngine
from ._protocol import argument_checks as _usage
from ._protocol.errors import EndpointError

T = TypeVar("T")

HOST = "127.0.0.1"


class Server(Records):
    """A server that speaks LM Studio's protocol on a loopback socket.

    It listens as soon as it is made. Use it in a `with` statement, or call `close()`.

    Args:
        port: Port to listen on; 0 for any free one.
        engine: Makes the replies; a `ScriptedEngine` if not given.
        models: The downloaded models; by default the engine's, or two LLMs ("test-llm" and
            "test-vlm") and an embedding model ("test-embedding").
        loaded: Keys of the models that are loaded from the start; by default the first LLM and
            the first embedding model.
        hub: The models that can be searched and downloaded.
        token: API token, or tokens, that a client must have ("sk-lm-" and 8 letters or digits, a
            colon, 20 more); None to let everybody in.
        auth: "normal", "refuse" (nobody gets in), "silent" (no answer to the authentication).
        auth_timeout: Seconds that a client may take to authenticate.
        unknown_path: What a websocket to an unknown namespace gets: "404", or "hang".
        hold: Endpoints that the test answers itself, as "predict" or "llm/predict".
        load_time: Seconds that loading a model takes.
        download_time: Seconds that downloading a model takes.
        jit_evict: Whether a just-in-time load unloads the models loaded just in time before.
        presets: Names of the presets that there are.
        parallel: How many predictions one loaded model runs at once; the others are queued. None
            for what the engine can do.
        version: Version that the server claims.

    Raises:
        OSError: The port is taken.
        TypeError: An argument is of the wrong type.
        ValueError: An argument has no meaning; the text says which values have.

    Thread safety:
        Any thread.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        engine: Engine | None = None,
        models: Sequence[Model] | None = None,
        loaded: Iterable[str] | None = None,
        hub: Sequence[Model] = DEFAULT_HUB,
        token: str | Sequence[str] | None = None,
        auth: Literal["normal", "refuse", "silent"] = "normal",
        auth_timeout: float = 10.0,
        unknown_path: Literal["404", "hang"] = "404",
        hold: Iterable[str] = (),
        load_time: float = 0.0,
        download_time: float = 0.0,
        jit_evict: bool = False,
        presets: Sequence[str] = (),
        parallel: int | None = None,
        version: str = "0.4.0",
    ) -> None:
        hold = as_list("hold", hold, "a list of endpoints, as ['predict']")
        if loaded is not None:
            loaded = as_list("loaded", loaded, "a list of the keys of models")
        check_settings(
            {
                "port": port,
                "engine": engine,
                "models": models,
                "loaded": loaded,
                "hub": hub,
                "token": token,
                "auth": auth,
                "auth_timeout": auth_timeout,
                "unknown_path": unknown_path,
                "hold": hold,
                "load_time": load_time,
                "download_time": download_time,
                "jit_evict": jit_evict,
                "presets": presets,
                "parallel": parallel,
                "version": version,
            }
        )
        self._engine = engine if engine is not None else ScriptedEngine()
        if models is None:
            models = self._engine.models or DEFAULT_MODELS
        options = Options(
            tokens=[token] if isinstance(token, str) else list(token or ()),
            auth=auth,
            auth_timeout=auth_timeout,
            unknown_path=unknown_path,
            load_time=load_time,
            download_time=download_time,
            jit_evict=jit_evict,
            presets=presets,
            parallel=self._engine.parallel if parallel is None else parallel,
            version=version,
        )
        keys = first_of_each(models) if loaded is None else list(loaded)
        self._core = Core(options, self._engine, models, hub)
        self._holds = Holds(self._core)
        self._closed = False
        for endpoint in hold:
            self._holds.hold(endpoint)
        try:
            for key in keys:
                self.load(key)
            self._listener = Listener(self._core, self._holds)
            self._port = self._core.loop.run(self._listener.start(HOST, port), 5.0)
        except BaseException:
            self._core.loop.stop(5.0)
            raise

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._port

    @property
    def host(self) -> str:
        """Address for a client, as "127.0.0.1:PORT"."""
        return f"{HOST}:{self._port}"

    @property
    def tokens(self) -> list[str]:
        """The API tokens that let a client in; empty if everybody may come in."""
        return list(self._core.options.tokens)

    @property
    def identifiers(self) -> list[str]:
        """Identifiers of the models that are loaded now."""
        return self._core.loop.call(
            lambda: [one.identifier for one in self._core.registry.loaded()]
        )

    def reply(
        self,
        tokens: str | Sequence[str | Token] = (),
        *,
        reasoning: str | Sequence[str] = (),
        tool_calls: Sequence[ToolCall | dict[str, Any]] = (),
        delay: float = 0.0,
        prefill: float = 0.0,
        stop_reason: str | None = None,
        repeat: int = 1,
        slow_stop: float = 0.0,
        error_after: int | None = None,
        error: str | None = None,
        drop_after: int | None = None,
        close_after: int | None = None,
        silent_after: int | None = None,
        garbage_after: int | None = None,
        **stats: Any,
    ) -> None:
        """Queue the reply of the next prediction that has none; scripted engine only.

        Args:
            tokens: The answer: a text, which is cut into tokens, or the tokens.
            reasoning: Reasoning that comes before it.
            tool_calls: Tool calls that end the round: `ToolCall` objects, or dicts with its
                arguments (`{"name": "add", "arguments": {"a": 1}}`).
            delay: Seconds before each token.
            prefill: Seconds of prompt processing, with progress packets.
            stop_reason: Why it ends, as on the wire.
            repeat: For how many predictions the reply is meant.
            slow_stop: Seconds that the engine goes on after a cancel.
            error_after: Number of tokens after which the prediction fails.
            error: Title of that error; "Scripted failure" if not given.
            drop_after: Number of tokens after which the connection breaks.
            close_after: Number of tokens after which the channel closes without a result.
            silent_after: Number of tokens after which nothing more comes.
            garbage_after: Number of tokens after which a frame comes that is no JSON, and nothing
                more.
            **stats: Further entries of the stats, as `tokens_per_second=7`.

        Raises:
            TypeError: The server's engine is not scripted, or an argument is of the wrong type.
            ValueError: An argument has no meaning, there is no such entry of the stats, or more
                than one of the `..._after` arguments was given.
        """
        if not isinstance(self._engine, ScriptedEngine):
            kind = type(self._engine).__name__
            raise TypeError(f"reply() needs a ScriptedEngine, this server has a {kind}")
        _usage.whole(1)("repeat", repeat)
        reply = make_reply(
            tokens,
            reasoning=reasoning,
            tool_calls=tool_calls,
            delay=delay,
            prefill=prefill,
            stop_reason=stop_reason,
            slow_stop=slow_stop,
            error_after=error_after,
            error=error,
            drop_after=drop_after,
            close_after=close_after,
            silent_after=silent_after,
            garbage_after=garbage_after,
            **stats,
        )
        for _ in range(repeat):
            self._engine.add(reply)

    def hold(self, endpoint: str) -> None:
        """Park the calls to an endpoint until the test takes them with `expect`.

        Args:
            endpoint: Its name, as "predict", or with the namespace, as "llm/predict".

        Raises:
            ValueError: There is no such endpoint; the text names the nearest.
        """
        self._holds.hold(endpoint)

    def release(self, endpoint: str) -> None:
        """Answer the endpoint as usual again, also the calls that are parked.

        Args:
            endpoint: As given to `hold`.

        Raises:
            ValueError: There is no such endpoint; the text names the nearest.
        """
        self._holds.release(endpoint)

    def expect(self, endpoint: str, timeout: float = 5.0) -> Call:
        """Take the next call of an endpoint; the endpoint is held from now on.

        Args:
            endpoint: As for `hold`.
            timeout: Seconds.

        Returns:
            The call, for the test to answer.

        Raises:
            AssertionError: None came in time; the text says what came.
            ValueError: There is no such endpoint; the text names the nearest.
        """
        return self._holds.expect(endpoint, timeout)

    def load(self, key: str, identifier: str | None = None) -> str:
        """Load a model as the app's user would, by hand.

        Args:
            key: Key of a downloaded model.
            identifier: Identifier of the instance; made from the key if not given.

        Returns:
            The identifier.

        Raises:
            ValueError: There is no such model, or the identifier is taken.
        """
        return self._core.loop.call(lambda: self._load(key, identifier))

    def unload(self, identifier: str) -> None:
        """Unload a model as the app's user would; its predictions end with "modelUnloaded".

        Args:
            identifier: Identifier of a loaded instance.

        Raises:
            ValueError: There is no such instance.
        """
        registry = self._core.registry

        def unload() -> None:
            found = [one for one in registry.loaded() if one.identifier == identifier]
            if not found:
                loaded = ", ".join(one.identifier for one in registry.loaded())
                raise ValueError(f"no model {identifier!r} is loaded, only: {loaded or 'none'}")
            registry.remove(found[0])

        self._core.loop.call(unload)

    def drop_all(self) -> None:
        """Break all connections: the clients see a TCP reset."""
        for connection in self.connections:
            if connection.open:
                connection.drop()

    def close(self, timeout: float = 5.0) -> None:
        """Stop: end all generations, connections and threads. May be called again.

        Args:
            timeout: Seconds after which threads that have not ended are left behind (an engine
                that does not stop when told; they are daemons).
        """
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + timeout
        try:
            self._core.loop.run(self._listener.stop(), timeout)
        except (RuntimeError, TimeoutError):
            logger.debug("the listener did not stop in time")
        left = self._core.workers.join(max(0.1, deadline - time.monotonic()))
        if left:
            logger.warning("still running after the server was closed: %s", ", ".join(left))
        self._core.changes.close()
        self._core.loop.stop(max(0.1, deadline - time.monotonic()))

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "listening"
        return f"<lmstudio.testing.Server {self.host}, {state}>"

    def _load(self, key: str, identifier: str | None = None) -> str:
        registry = self._core.registry
        try:
            model = registry.any_model(key)
            return registry.add(model, identifier or registry.free_identifier(key), []).identifier
        except EndpointError as problem:
            keys = ", ".join(one.key for one in registry.models)
            raise ValueError(f"{problem} (the downloaded models: {keys})") from None
