"""Makes the asyncio half out of the synchronous one: `python tests/api/make_asyncio.py --write`.

The files of `lmstudio/_asyncio/` that begin with GENERATED are made here; a test holds them against
this. What a method asks for is the same in both halves; what differs is that it is awaited.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "lmstudio"
LONGEST = 100  # characters of a line
GENERATED = "# Made by tests/api/make_asyncio.py out of {}.\n"

# The new file, and the one that it is made of.
FILES = {
    "handle.py": "_handles/handle.py",
    "embedding_model.py": "_handles/embedding_model.py",
    "llm.py": "_handles/llm.py",
    "downloaded.py": "_handles/downloaded.py",
    "namespaces.py": "_handles/namespaces.py",
    "system.py": "_handles/system.py",
    "uploaded_files.py": "_handles/uploaded_files.py",
    "lm_link.py": "_handles/lm_link.py",
    "repository.py": "_handles/repository.py",
    "log_stream.py": "_handles/log_stream.py",
    "diagnostics.py": "_handles/diagnostics.py",
    "plugin_tools.py": "_handles/plugin_tools.py",
    "plugins.py": "_handles/plugins.py",
    "tool_calls.py": "_agent/tool_calls.py",
    "act.py": "_agent/act.py",
    "batch.py": "_batch/batch.py",
    "client.py": "_client/client.py",
}
# What becomes a coroutine, and so is awaited where it is called as a method.
COROUTINES = [
    "call",
    "call_two",
    "call_each",
    "model",
    "load_new_instance",
    "_load",
    "_any_loaded",
    "list_loaded",
    "_list_loaded",
    "list_downloaded",
    "unload",
    "get_model_info",
    "list_downloaded_models",
    "list_loaded_models",
    "get_info",
    "get_load_config",
    "get_context_length",
    "count_tokens",
    "tokenize",
    "embed",
    "_for_texts",
    "respond",
    "respond_stream",
    "complete",
    "complete_stream",
    "complete_raw_text",
    "complete_raw_text_stream",
    "apply_prompt_template",
    "act",
    "wait_for_result",
    "search_models",
    "get_download_options",
    "download",
    "prepare_image",
    "get_processing_state",
    "get_base_prediction_config",
    "preload_draft_model",
    "estimate_resources",
    "variants",
    "list_downloaded_model_variants",
    "start_http_server",
    "stop_http_server",
    "request_shutdown",
    "get_file_path",
    "get_version",
    "get_status",
    "set_preferred_device",
    "get_document_parser",
    "parse_document",
    "retrieve",
]
MORE_COROUTINES = {
    "llm.py": ["run"],
    "act.py": ["run", "_round", "_wait_for", "wait", "settle"],
    "tool_calls.py": ["wait", "settle", "_take_next", "receive"],
    "batch.py": ["_take", "_next_outcome", "_start_more", "_read", "receive"],
    "client.py": ["aclose"],
    "system.py": ["notify"],
    "log_stream.py": ["_begin", "_take", "receive"],
    "plugin_tools.py": ["open", "call_tool", "_call_tool", "receive"],
}
# Functions of these modules make requests; they are no methods.
REQUESTS = ("models", "loading", "documents", "repository", "diagnostics", "system", "plugins")
NAMES = {
    "LLM": "AsyncLLM",
    "EmbeddingModel": "AsyncEmbeddingModel",
    "Client": "AsyncClient",
    "SyncModelHandle": "AsyncModelHandle",
    "Namespace": "AsyncNamespace",
    "ModelNamespace": "AsyncModelNamespace",
    "LlmNamespace": "AsyncLlmNamespace",
    "EmbeddingNamespace": "AsyncEmbeddingNamespace",
    "SystemNamespace": "AsyncSystemNamespace",
    "LmLinkNamespace": "AsyncLmLinkNamespace",
    "RepositoryNamespace": "AsyncRepositoryNamespace",
    "AvailableModel": "AsyncAvailableModel",
    "ModelDownloadOption": "AsyncModelDownloadOption",
    "DownloadedModel": "AsyncDownloadedModel",
    "DownloadedLlm": "AsyncDownloadedLlm",
    "DownloadedEmbeddingModel": "AsyncDownloadedEmbeddingModel",
    "AnyDownloadedModel": "AnyAsyncDownloadedModel",
    "PredictionStream": "AsyncPredictionStream",
    "Batch": "AsyncBatch",
    "Act": "AsyncAct",
    "Session": "AsyncSession",
    "ToolCalls": "AsyncToolCalls",
    "FilesNamespace": "AsyncFilesNamespace",
    "DiagnosticsNamespace": "AsyncDiagnosticsNamespace",
    "LogStream": "AsyncLogStream",
    "PluginsNamespace": "AsyncPluginsNamespace",
    "PluginTools": "AsyncPluginTools",
    "UploadedFiles": "AsyncUploadedFiles",
}
# After all else, in every file.
REPLACED = {
    "from .._connection.session import AsyncSession": "from .session import AsyncSession",
    "from .._prediction.stream import AsyncPredictionStream": (
        "from .stream import AsyncPredictionStream"
    ),
    "Thread safety: all methods may be called from several threads at once.": (
        "Thread safety: the tasks of one event loop."
    ),
    "Thread safety: immutable; all methods may be called from several threads at once.": (
        "Thread safety: immutable; the tasks of one event loop."
    ),
    "in this thread": "on the event loop",
    "in the thread that iterates or waits": "on the event loop, while a task iterates or waits",
    "in the iterating thread": "by the iterating task",
}
WAITS = {  # of what is no method of a handle
    "import Deadline, DeadlinePassed, receiver": "import Deadline, DeadlinePassed",
    "\nfrom ..errors import": "\nfrom .inbox import LoopInbox, receiver\nfrom ..errors import",
    "from .tool_context import": "from .._agent.tool_context import",
    "from .tools import": "from .._agent.tools import",
    "from .rules import": "from .._agent.rules import",
    **{
        f"from .{name} import": f"from .._batch.{name} import"
        for name in ("calls", "hosts", "journal_file", "numbers", "options", "outcome")
    },
    **{
        f"from .{name} import": f"from .._batch.{name} import"
        for name in ("progress", "records", "tasks", "verdicts")
    },
    "\nimport copy\n": "\nimport asyncio\nimport copy\n",
    "\nimport functools\n": "\nimport asyncio\nimport functools\n",
}
ASYNC_INPUTS = {
    "inputs: Iterable[Any]": "inputs: Iterable[Any] | AsyncIterable[Any]",
    "from collections.abc import ": "from collections.abc import AsyncIterable, ",
}
# A method that says what to write instead of what is meant for threads.
REFUSAL = '''    def {}(self{}) -> NoReturn:
        """{}"""
        {}

'''
WRITE_FOR = REFUSAL.format(
    "__iter__",
    "",
    "Say what to write instead.",
    "raise TypeError(\"Write 'async for' for an AsyncBatch.\")",
)
# As `await model.respond_stream()` gives a stream.
AWAIT = '''    def __await__(self) -> Generator[None, None, Self]:
        """Return the batch itself, without waiting: it may be awaited, and nobody has to."""
        yield from ()
        return self

'''
CLOSE = '''    async def close(self, timeout: float = 2.0) -> None:
        """Do what `aclose()` does."""
        await self.aclose(timeout)

'''
PATCHES = {
    "embedding_model.py": {
        **ASYNC_INPUTS,
        "from .._batch.batch import AsyncBatch": "from .batch import AsyncBatch",
    },
    "llm.py": {
        **ASYNC_INPUTS,
        "from .._batch.batch import AsyncBatch": "from .batch import AsyncBatch",
        "from .._agent.act import AsyncAct": "from .act import AsyncAct",
        "prepare_tools(tools)": "prepare_tools(tools, may_be_async=True)",
    },
    "tool_calls.py": {**WAITS, "inbox: queue.SimpleQueue[Any]": "inbox: LoopInbox"},
    "act.py": {
        "from .rules import": "from .._agent.rules import",
        "scope.open(self._events)": "await open_scope(scope, self._events)",
        "scope.close()": "close_scope(scope)",
        "calls.inbox = stream._call.inbox": "calls.inbox = stream._inbox",
        "\nfrom ..errors import": (
            "\nfrom .events import close_scope, open_scope\nfrom ..errors import"
        ),
    },
    "batch.py": {
        **WAITS,
        "queue.SimpleQueue[Any] = queue.SimpleQueue()": ("LoopInbox = LoopInbox(running_loop())"),
        "bell: queue.SimpleQueue[Any]": "bell: LoopInbox",
        "def __iter__(self) -> Iterator[BatchOutcome": (
            "def __aiter__(self) -> AsyncIterator[BatchOutcome"
        ),
        "def __iter__(self) -> Self": "def __aiter__(self) -> Self",
        "def __next__(self)": "def __anext__(self)",
        "    def __anext__(self) -> Any:": "    async def __anext__(self) -> Any:",
        "                self._read_after.extend(itertools.islice(self._inputs, 1))\n"
        "            except StopIteration:": (
            "                if isinstance(self._inputs, AsyncIterator):\n"
            "                    self._read_after.append(await anext(self._inputs))\n"
            "                else:\n"
            "                    self._read_after.extend(itertools.islice(self._inputs, 1))\n"
            "            except (StopIteration, StopAsyncIteration):"
        ),
        "def unfinished(self) -> Iterator[Any]": "def unfinished(self) -> AsyncIterator[Any]",
        "inputs: Iterator[Any] | None,": "inputs: Iterator[Any] | AsyncIterator[Any] | None,",
        "self._journal.load()": "await in_thread(self._journal.in_turn, self._journal.load)",
        "self._journal.write()": "await in_thread(self._journal.in_turn, self._journal.write)",
        "self._journal.find(task": (
            "await in_thread(self._journal.in_turn, self._journal.find, task"
        ),
        # It is opened by the thread that reads it.
        "            if self._journal is not None:\n                self._journal.open()\n": "",
        "CancelScope(session, self._bell)": "CancelScope(session, cast(Any, self._bell))",
        "from typing import Any, Generic, NoReturn, TypeVar": (
            "from typing import Any, Generic, NoReturn, TypeVar, cast"
        ),
        "self._scope.open(events)": "open_scope_at_once(self._scope, events)",
        "self._scope.close()": "close_scope(self._scope)",
        "\nfrom ..errors import": (
            "\nfrom .events import close_scope, in_thread, open_scope_at_once"
            "\nfrom .inbox import LoopInbox, receiver, running_loop\nfrom ..errors import"
        ),
        "except KeyboardInterrupt:": "except (KeyboardInterrupt, asyncio.CancelledError):",
        '        fork.check_process(self._process, "batch")\n': (
            '        fork.check_process(self._process, "batch")\n        self._bell.check_loop()\n'
        ),
        "            batch._note_iterator(self)\n": (
            "            batch._bell.check_loop()\n            batch._note_iterator(self)\n"
        ),
        "raise StopIteration\n": "raise StopAsyncIteration\n",
        "if isinstance(error, StopIteration):  # of an input, or a function that was given": (
            "# Of an input, or a function that was given.\n"
            "            if isinstance(error, (StopIteration, StopAsyncIteration)):"
        ),
        "        except StopIteration:\n": "        except (StopIteration, StopAsyncIteration):\n",
        "import AsyncIterable, Iterable, Iterator, Sequence, Sized": (
            "import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Sequence, Sized"
        ),
        "inputs: Iterable[Any],": "inputs: Iterable[Any] | AsyncIterable[Any],",
        "isinstance(inputs, Iterable)": "isinstance(inputs, (Iterable, AsyncIterable))",
        "Iterator[Any] | None = iter(inputs)": (
            "Iterator[Any] | AsyncIterator[Any] | None = (\n"
            "                aiter(inputs) if isinstance(inputs, AsyncIterable) else iter(inputs)\n"
            "            )"
        ),
        "            self._fresh.extend(itertools.islice(self._inputs, 1))\n": (
            "            if isinstance(self._inputs, AsyncIterator):\n"
            "                self._fresh.append(await anext(self._inputs))\n"
            "            else:\n"
            "                self._fresh.extend(itertools.islice(self._inputs, 1))\n"
            "        except StopAsyncIteration:\n"
            "            pass\n"
        ),
        "    def _note_iterator(": WRITE_FOR + AWAIT + "    def _note_iterator(",
        "            call = running.call\n": (
            "            call = running.call\n"
            "            call.is_left = asyncio.get_running_loop().is_closed\n"
        ),
        "            question.call.cancel_when_dropped(self)\n": (
            "            question.call.is_left = asyncio.get_running_loop().is_closed\n"
            "            question.call.cancel_when_dropped(self)\n"
        ),
        "is read when one of the `max_parallel` places is free": (
            "(they may come by ``async for``, too) is read when one of the `max_parallel` places is"
            " free"
        ),
        "in your thread, so": "in your task, so",
    },
    "log_stream.py": {
        "from .._concurrency.deadline import receiver\n": "",
        "from .._concurrency.threads import check_may_wait\n": "",
        "        check_may_wait()\n": "",
        "receiver(call.inbox, None)": "receiver(cast(Any, call.inbox), None)",
        "        reads = self._reads.setdefault(": (
            "        if self._is_started:\n"
            "            cast(Any, self._call.inbox).check_loop()\n"
            "        reads = self._reads.setdefault("
        ),
        "import Any, NoReturn": "import Any, NoReturn, cast",
        "\nfrom ..errors import": "\nfrom .inbox import receiver\nfrom ..errors import",
        "self._session.start(": "await self._session.async_start(",
        "def __enter__(self)": "def __aenter__(self)",
        "def __exit__(": "async def __aexit__(",
        "self.close()": "await self.aclose()",
        "def close(self)": "async def aclose(self)",
        "def __iter__(self) -> Iterator[": "def __aiter__(self) -> AsyncIterator[",
        "def __iter__(self) -> Self": "def __aiter__(self) -> Self",
        "def __next__(self)": "def __anext__(self)",
        "raise StopIteration\n": "raise StopAsyncIteration\n",
        "import Callable, Iterator": "import AsyncIterator, Callable",
        "by ``with``": "by ``async with``",
        "leaving ``with``": "leaving ``async with``",
        "one thread iterates": "one task iterates",
    },
    "diagnostics.py": {
        "by ``with``": "by ``async with``",
    },
    "plugin_tools.py": {
        "from .._concurrency.deadline import receiver\n": "",
        "from .._concurrency.threads import check_may_wait\n": "",
        "        check_may_wait()\n": "",
        "\nimport queue\n": "\nimport asyncio\n",
        "queue.SimpleQueue()": "cast(Any, LoopInbox(asyncio.get_running_loop()))",
        "receiver(inbox.inbox, None)": "receiver(cast(Any, inbox.inbox), None)",
        "self._session.start(call, self._events)": (
            "await self._session.async_start(call, self._events, has_inbox=True)"
        ),
        "\nfrom ..errors import": "\nfrom .inbox import LoopInbox, receiver\nfrom ..errors import",
        "def __enter__(self)": "def __aenter__(self)",
        "def __exit__(": "async def __aexit__(",
        "self.close()": "await self.aclose()",
        "def close(self)": "async def aclose(self)",
        "calls `close()`": "awaits `aclose()`",
        "``with``": "``async with``",
        "`with`": "`async with`",
        ": with client": ": async with client",
        "another thread": "another task",
        "Thread safety: all methods may be called from several threads at once; `cancel`, "
        "`cancelled` and\n    `close` also": (
            "Thread safety: the tasks of one event loop; `cancel` and `cancelled` anywhere, also"
        ),
    },
    "plugins.py": {
        "            with client": "            async with client",
        "                model.act(": "                await model.act(",
        "opened by ``with``": "opened by ``async with``",
    },
    "client.py": {
        "from .._handles.": "from .",
        "def __enter__(self)": "async def __aenter__(self)",
        "def __exit__(": "async def __aexit__(",
        "self.close()": "await self.aclose()",
        "def close(self, timeout": "async def aclose(self, timeout",
        "self._session.close(": "await in_thread(self._session.close, ",
        "self._discovery.check(": "await in_thread(self._discovery.check, ",
        "return is_lm_studio(": "return await in_thread(is_lm_studio, ",
        "found = find_local(": "found = await in_thread(find_local, ",
        "def is_valid_api_host": "async def is_valid_api_host",
        "def find_default_local_api_host": "async def find_default_local_api_host",
        "        check_may_wait()\n": "",
        "    def __aenter__(self)": "    def __enter__(self)",
        "    def __aexit__(self": "    def __exit__(self",
        "Write 'with' for a AsyncClient; an AsyncClient takes 'async with'.": (
            "Write 'async with' for an AsyncClient; a Client takes 'with'."
        ),
        "    @classmethod\n    async def is_valid_api_host": (
            CLOSE + "    @classmethod\n    async def is_valid_api_host"
        ),
        "        return ConnectionWatch(self._session": (
            "        dispatch = calls_here() if dispatch is None else dispatch\n"
            "        return ConnectionWatch(self._session"
        ),
        "the callback runs in a thread of the package": "the callback runs on the event loop",
        "\nfrom ..errors import": (
            "\nfrom .events import calls_here, in_thread\nfrom ..errors import"
        ),
    },
}


class Marks(ast.NodeVisitor):
    """Finds where `await` and `async` have to stand."""

    def __init__(self, source, coroutines):
        self.coroutines = coroutines
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.inserts = []
        self.functions = []
        self.parents = {}
        tree = ast.parse(source)
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        self.visit(tree)

    def at(self, line, column):
        return self.lines[line - 1] + column

    def visit_FunctionDef(self, node):
        self.functions.append(node)
        node.awaits = node.name in self.coroutines and isinstance(self.parents[node], ast.ClassDef)
        self.generic_visit(node)
        self.functions.pop()
        if node.awaits:
            self.inserts.append((self.at(node.lineno, node.col_offset), "async "))

    def visit_Call(self, node):
        self.generic_visit(node)
        if not (self.functions and self.is_awaited(node.func)):
            return
        self.functions[-1].awaits = True
        parent = self.parents[node]
        is_inner = isinstance(parent, (ast.Attribute, ast.Subscript)) and parent.value is node
        start = self.at(node.lineno, node.col_offset)
        self.inserts.append((start, "(await " if is_inner else "await "))
        if is_inner:
            self.inserts.append((self.at(node.end_lineno, node.end_col_offset), ")"))

    def is_awaited(self, function):
        if isinstance(function, ast.Name):
            return function.id == "receive" in self.coroutines
        if not isinstance(function, ast.Attribute) or function.attr not in self.coroutines:
            return False
        owner = ast.unparse(function.value)
        return owner not in REQUESTS and not owner.endswith("gate")


def make(name):
    """Return the text of a file of the asyncio half."""
    old = FILES[name]
    source = (PACKAGE / old).read_text(encoding="utf-8")
    coroutines = COROUTINES + MORE_COROUTINES.get(name, [])
    # From the end; where two stand in one place, the inner one first.
    for start, text in sorted(
        Marks(source, coroutines).inserts, key=lambda insert: insert[0], reverse=True
    ):
        source = source[:start] + text + source[start:]
    source = re.sub(r"\b(" + "|".join(NAMES) + r")\b", lambda m: NAMES[m[0]], source)
    source = re.sub(r"\b_session\.(call\w*|run)\(", r"_session.async_\1(", source)
    for before, after in {**REPLACED, **PATCHES.get(name, {})}.items():
        source = source.replace(before, after)
    return cut(formatted(GENERATED.format(old) + source))


def cut(text):
    """Cut lines of docstrings that longer names have made too long."""
    lines = []
    for line in text.split("\n"):
        while len(line) > LONGEST:
            indent = " " * (len(line) - len(line.lstrip()))
            at = line.rindex(" ", 0, LONGEST + 1)
            lines.append(line[:at])
            line = indent + line[at + 1 :]
        lines.append(line)
    return "\n".join(lines)


def formatted(text):
    command = [sys.executable, "-m", "ruff"]
    for arguments in (["check", "--fix-only", "-"], ["format", "-"]):
        stdin = ["--stdin-filename", str(PACKAGE / "_asyncio" / "x.py")]
        done = subprocess.run(
            [*command, *arguments[:-1], *stdin, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stdout:
            raise RuntimeError(done.stderr + text)
        text = done.stdout
    return text


if __name__ == "__main__":
    for each in FILES:
        target = PACKAGE / "_asyncio" / each
        text = make(each)
        if "--write" in sys.argv:
            target.write_text(text, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != text:
            print(f"{target} is out of date")
