"""The asyncio half is made out of the synchronous one, and nobody has changed it by hand."""

import inspect

import pytest
from api import make_asyncio

import lmstudio as lms

HALVES = [
    (lms.Client, lms.AsyncClient),
    (lms.LLM, lms.AsyncLLM),
    (lms.EmbeddingModel, lms.AsyncEmbeddingModel),
    (lms.PredictionStream, lms.AsyncPredictionStream),
    (lms.DownloadedLlm, lms.AsyncDownloadedLlm),
    (lms.Batch, lms.AsyncBatch),
    (lms.LogStream, lms.AsyncLogStream),
]
# What the other half calls otherwise, or has no need of.
OTHERWISE = {
    "close": "aclose",
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
    "run_in_background": None,
}
# What does not wait for the server, and so is no coroutine function.
AT_ONCE = {"cancel", "cancel_all", "cancelled", "done", "add_done_callback", "result", "__aiter__"}
AT_ONCE |= {
    "respond_many",
    "complete_many",
    "embed_many",
    "on_connection_change",
    "unfinished",
    "texts",
}


@pytest.mark.parametrize("name", make_asyncio.FILES)
def test_a_file_is_as_it_is_made(name):
    pytest.importorskip("ruff", reason="did not run: ruff, which formats it, is not here")
    there = (make_asyncio.PACKAGE / "_asyncio" / name).read_text(encoding="utf-8")

    assert there == make_asyncio.make(name), "run python tests/api/make_asyncio.py --write"


@pytest.mark.parametrize(("sync", "asynchronous"), HALVES, ids=lambda half: half.__name__)
def test_whatever_one_half_has_the_other_has(sync, asynchronous):
    for name, member in inspect.getmembers(sync):
        if name.startswith("_") and name not in OTHERWISE:
            continue
        other = OTHERWISE.get(name, name)
        if other is None:
            continue
        there = getattr(asynchronous, other)
        if inspect.isfunction(member) and other not in AT_ONCE:
            assert inspect.iscoroutinefunction(there), other


@pytest.mark.parametrize("name", ["respond", "respond_stream", "complete", "act", "respond_many"])
def test_arguments_are_the_same_in_both_halves(name):
    here, there = (
        [
            (p.name, p.kind, p.default)
            for p in inspect.signature(getattr(cls, name)).parameters.values()
        ]
        for cls in (lms.LLM, lms.AsyncLLM)
    )

    assert here == there
