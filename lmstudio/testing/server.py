"""The embedded server: start it, script it, answer for it, and read what it has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar

from ._calls.call import Call
from ._calls.holds import Holds
from ._calls.listener import Listener
from ._core.connection import Connection
from ._core.core import Core
from ._core.loop_thread import logger
from ._core.options import Options
from ._core.prediction import Prediction
from ._core.tool_run import ToolRun
from ._engines.engine import Engine, Token, ToolCall
from ._engines.make_reply import make_replies
from ._engines.models_on_disk import Model, first_of_each
from ._engines.plugins import Plugin
from ._engines.scripted import ScriptedEngine
from ._protocol import argument_checks as checks
from ._protocol.clock import monotonic
from ._protocol.errors import EndpointError
from ._protocol.public import public

T = TypeVar("T")


@checks.names_checked
@public
class Server:
    """A server that speaks LM Studio's protocol on a loopback socket.

    It listens as soon as it is made. Use it in a `with` statement, or call `close()`.

    Args:
        port: Port to listen on; 0 for any free one.
        host: Address to listen on. With any but a loopback address, such as "0.0.0.0", every
            computer that reaches this one can use the server: give it a `token`.
        engine: Makes the replies; a `ScriptedEngine` if not given.
        models: The downloaded models; by default the engine's, or two LLMs ("test-llm" and
            "test-vlm") and an embedding model ("test-embedding").
        loaded: Keys of the models that are loaded from the start; by default the first LLM and
            the first embedding model.
        hub: The models that can be searched and downloaded; by default the three above, and a
            small LLM ("tiny-llm") that is not downloaded.
        plugins: The plugins and MCP servers, whose tools clients may use.
        token: API token, or tokens, that a client must have ("sk-lm-" and 8 letters or digits, a
            colon, 20 more); None to let everybody in.
        allow_origins: Web pages that may connect besides those of localhost, as
            "https://app.example"; a browser says whose page it is, other programs do not.
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
        hub: Sequence[Model] | None = None,
        plugins: Sequence[Plugin] = (),
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
        allow_origins: Sequence[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        arguments = dict(locals())  # all of them, under their names
        del arguments["self"]
        options = Options(**arguments)
        self._core = Core(options)
        self._holds = Holds(self._core)
        self._closed = False
        keys = options.loaded
        if keys is None:
            keys = first_of_each(self._core.registry.models)
        try:
            # Before the loop thread listens: the first client finds the models.
            for key in keys:
                self.load(key)
            self._listener = Listener(self._core, self._holds)
            self._port = self._core.loop.run(self._listener.start(host, port), 5.0)
        except BaseException:
            self._core.loop.stop(5.0)
            raise

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._port

    @property
    def api_host(self) -> str:
        """The host and the port, as "127.0.0.1:1234": what a `Client` of this machine takes."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(given := self._core.options.host, given)
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    host = api_host
    """The same as `api_host`."""

    @property
    def listening(self) -> bool:
        """Whether clients can come in: until `close()`, or until one has asked for the end.

        A client ends the server by `request_shutdown()`: the connections are closed, and what it
        has recorded stays.
        """
        return self._listener.is_open

    @property
    def tokens(self) -> list[str]:
        """The API tokens that let a client in; empty if everybody may come in."""
        return list(self._core.options.tokens)

    @property
    def identifiers(self) -> list[str]:
        """Identifiers of the models that are loaded now."""
        registry = self._core.registry
        return self._core.loop.call(lambda: [one.identifier for one in registry.loaded()])

    @property
    def connections(self) -> list[Connection]:
        """All websockets that clients have opened, in order, also those that have ended."""
        return list(self._core.journal.connections)

    @property
    def predictions(self) -> list[Prediction]:
        """All predictions that clients have asked for, in order."""
        return list(self._core.journal.predictions)

    @property
    def tool_runs(self) -> list[ToolRun]:
        """All calls of plugins' tools that clients have made, in order."""
        return list(self._core.journal.tool_runs)

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
        arguments = dict(locals())
        del arguments["self"], arguments["stats"]
        engine = self._core.engine
        if not isinstance(engine, ScriptedEngine):
            kind = type(engine).__name__
            raise TypeError(f"reply() needs a ScriptedEngine, this server has a {kind}")
        for reply in make_replies(**arguments, **stats):
            engine.add(reply)

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
            key: Key of a downloaded model, or another name of it, as a variant.
            identifier: Identifier of the instance; the model's key if not given, with ":2" or so if
                that is taken.

        Returns:
            The identifier.

        Raises:
            ValueError: There is no such model, or the identifier is taken.
        """
        checks.text("key", key)
        checks.optional(checks.text)("identifier", identifier)
        if identifier == "":
            raise ValueError("identifier must not be empty; None: the model's key")
        return self._core.loop.call(lambda: self._load(key, identifier))

    def unload(self, identifier: str) -> None:
        """Unload a model as the app's user would; its predictions end with "modelUnloaded".

        Args:
            identifier: Identifier of a loaded instance, exactly: no other name of the model.

        Raises:
            ValueError: There is no such instance.
        """
        checks.text("identifier", identifier)
        registry = self._core.registry

        def unload() -> None:
            found = [one for one in registry.loaded() if one.identifier == identifier]
            if not found:
                loaded = ", ".join(one.identifier for one in registry.loaded()) or "none"
                raise ValueError(f"no model {identifier!r} is loaded; the identifiers: {loaded}")
            registry.remove(found[0])

        self._core.loop.call(unload)

    def received(
        self, type: str | None = None, *, endpoint: str | None = None, path: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the messages that clients have sent, in order.

        Args:
            type: Only those of this type, as "rpcCall".
            endpoint: Only those to this endpoint ("predict" or "llm/predict"), packets into its
                channels included.
            path: Only those of this namespace, as "/llm".

        Raises:
            ValueError: There is no such type, endpoint or namespace; the text names the nearest.
        """
        self._core.journal.check_filter(type, endpoint, path)
        return self._core.journal.matching(type, endpoint, path)

    def wait_for(
        self,
        predicate: Callable[[], T] | None = None,
        *,
        timeout: float = 5.0,
        type: str | None = None,
        endpoint: str | None = None,
        path: str | None = None,
        count: int = 1,
    ) -> Any:
        """Wait until a predicate holds, or until messages have come.

        Args:
            predicate: Called without a lock after each change; what it returns is returned.
            timeout: Seconds.
            type: As for `received`.
            endpoint: As for `received`.
            path: As for `received`.
            count: Number of messages to wait for.

        Returns:
            What the predicate returned, else the last of the messages.

        Raises:
            AssertionError: It took too long; the text says what came instead.
            ValueError: There is no such type, endpoint or namespace; the text names the nearest.
        """
        self._core.journal.check_filter(type, endpoint, path)
        checks.whole(1)("count", count)
        journal = self._core.journal
        if predicate is not None:
            if not callable(predicate):
                raise checks.wrong_type("the predicate", "a function", predicate)
            return self._core.changes.wait(
                predicate, timeout, lambda: f"expected {predicate}, but {journal.summary()}"
            )
        wanted = {"type": type, "endpoint": endpoint, "path": path}

        def look() -> list[dict[str, Any]] | None:
            found = journal.matching(type, endpoint, path)
            return found if len(found) >= count else None

        return self._core.changes.wait(
            look, timeout, lambda: f"expected {count} of {wanted}, but {journal.summary()}"
        )[count - 1]

    def wait_prediction(self, index: int = 0, timeout: float = 5.0) -> Prediction:
        """Wait for the prediction number `index` (from 0) to be asked for, and return it.

        Args:
            index: Its place in `predictions`.
            timeout: Seconds.

        Raises:
            AssertionError: It did not come in time.
        """
        checks.whole()("index", index)
        found = self._core.changes.wait(
            lambda: self.predictions[index : index + 1],
            timeout,
            lambda: f"expected prediction {index}, but {self._core.journal.summary()}",
        )
        return found[0]

    def wait_tool_run(self, index: int = 0, timeout: float = 5.0) -> ToolRun:
        """Wait for the call number `index` (from 0) of a plugin's tool, and return it.

        Args:
            index: Its place in `tool_runs`.
            timeout: Seconds.

        Raises:
            AssertionError: It did not come in time.
        """
        checks.whole()("index", index)
        found = self._core.changes.wait(
            lambda: self.tool_runs[index : index + 1],
            timeout,
            lambda: f"expected tool run {index}, but {self._core.journal.summary()}",
        )
        return found[0]

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
        deadline = monotonic() + timeout
        # The listener first: it tells the worker threads to end. The loop thread last: they post
        # their outcome to it. Between the two the waiting threads get to know that nothing comes.
        try:
            self._core.loop.run(self._listener.stop(), timeout)
        except (RuntimeError, TimeoutError):
            logger.debug("the listener did not stop in time")
        left = self._core.workers.join(max(0.1, deadline - monotonic()))
        if left:
            logger.warning("still running after the server was closed: %s", ", ".join(left))
        self._core.changes.close()
        self._core.loop.stop(max(0.1, deadline - monotonic()))

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "listening" if self.listening else "closed"
        return f"<lmstudio.testing.Server {self.host}, {state}>"

    def _load(self, key: str, identifier: str | None = None) -> str:
        registry = self._core.registry
        try:
            found = registry.any_model(key)
        except EndpointError as problem:
            keys = ", ".join(one.key for one in registry.models)
            raise ValueError(f"{problem} (the downloaded models: {keys})") from None
        try:
            free = registry.free_identifier(found.model.key)
            return registry.add(found, free if identifier is None else identifier, []).identifier
        except EndpointError as problem:
            loaded = ", ".join(one.identifier for one in registry.loaded())
            raise ValueError(f"{problem} (the loaded ones: {loaded})") from None
