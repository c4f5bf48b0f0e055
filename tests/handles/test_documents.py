"""Files on the server: their text, and the pieces of them that answer a query."""

import asyncio

import pytest
from helpers import Worker

import lmstudio as lms
from lmstudio.testing import Server

PARSER = lms.DocumentParser(library="testing", version="1.0.0")


@pytest.fixture
def notes(client):
    """Two files that were put onto the server."""
    texts = (b"cats sleep all day", b"dogs bark at the cats and the postman")
    return [client.files.prepare_file(text, f"{n}.txt") for n, text in enumerate(texts)]


def opened(server, endpoint):
    (message,) = server.received("channelCreate", endpoint=endpoint, path="files")
    return message["creationParameter"]


def test_a_file_of_any_type_is_uploaded(server, client, tmp_path):
    (tmp_path / "notes.md").write_text("# Notes")

    file = client.files.prepare_file(tmp_path / "notes.md")

    assert (file.name, file.file_type, file.size_bytes) == ("notes.md", "text/other", 7)
    (sent,) = server.received(endpoint="uploadFileBase64")
    assert sent["parameter"] == {"name": "notes.md", "contentBase64": "IyBOb3Rlcw=="}


# -- text ---------------------------------------------------------------------------------------


def test_the_text_of_a_document(server, client, notes):
    shares = []

    document = client.files.parse_document(notes[0], on_progress=shares.append)

    assert document == lms.ParsedDocument(content="cats sleep all day", parser=PARSER)
    assert shares == [0.0, 0.5, 1.0]
    assert opened(server, "parseDocument") == {
        "fileIdentifier": notes[0].identifier,
        "parseOpts": {},
    }


def test_the_parser_can_be_asked_for_and_chosen(server, client, notes):
    parser = client.files.get_document_parser(notes[0])
    client.files.parse_document(notes[0].identifier, parser=parser)

    assert parser == PARSER
    (asked,) = server.received(endpoint="getDocumentParsingLibrary")
    assert asked["parameter"] == {"fileIdentifier": notes[0].identifier}
    assert opened(server, "parseDocument")["parseOpts"] == {
        "parserId": {"library": "testing", "version": "1.0.0"}
    }
    with pytest.raises(lms.LMStudioValueError, match="must be a DocumentParser"):
        client.files.parse_document(notes[0], parser="testing")


def test_a_document_that_is_not_there(client):
    for call in (client.files.parse_document, client.files.get_document_parser):
        with pytest.raises(lms.LMStudioServerError, match="Cannot find a file"):
            call("nothing")
        with pytest.raises(lms.LMStudioValueError, match="prepare_file"):
            call(5)


# -- retrieval ----------------------------------------------------------------------------------


def test_the_pieces_that_fit_a_query_best(server, client, notes):
    found = client.files.retrieve("postman dogs", notes, limit=1)

    assert found == lms.RetrievalResult(
        entries=[
            lms.RetrievalEntry(
                content="dogs bark at the cats and the postman", score=1.0, source=notes[1]
            )
        ]
    )
    assert opened(server, "retrieve") == {
        "query": "postman dogs",
        "fileIdentifiers": [note.identifier for note in notes],
        "config": {"fields": [{"key": "retrieval.limit", "value": 1}]},
    }


def test_the_options_of_a_retrieval_are_sent_by_their_keys(server, client, notes):
    client.files.retrieve(
        "cats",
        iter(notes),
        embedding_model="test-embedding",
        chunk_overlap=0,
        database_file="/tmp/vectors",
    )

    assert opened(server, "retrieve")["config"]["fields"] == [
        {"key": "retrieval.embeddingModel", "value": "test-embedding"},
        {
            "key": "retrieval.chunkingMethod",
            "value": {"type": "recursive-v1", "chunkSize": 512, "chunkOverlap": 0},
        },
        {"key": "retrieval.databaseFile", "value": "/tmp/vectors"},
    ]


@pytest.mark.parametrize(("size", "overlap"), [(1000, 100), (200, 100), (100, 50), (1, 0)])
def test_the_usual_overlap_is_never_more_than_half_a_chunk(server, client, notes, size, overlap):
    client.files.retrieve("cats", notes, chunk_size=size)

    (field,) = opened(server, "retrieve")["config"]["fields"]
    method = {"type": "recursive-v1", "chunkSize": size, "chunkOverlap": overlap}
    assert field["value"] == method


def test_the_embedding_model_may_be_a_handle(server, client, notes):
    embedder = client.embedding.load_new_instance("test-embedding", "mine")

    assert client.files.retrieve("cats", notes, embedding_model=embedder).entries

    (field,) = opened(server, "retrieve")["config"]["fields"]
    assert field == {"key": "retrieval.embeddingModel", "value": "mine"}
    with pytest.raises(lms.LMStudioValueError, match="handle of an embedding model; LLM"):
        client.files.retrieve("cats", notes, embedding_model=client.llm.model())


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nobody", lms.LMStudioModelNotFoundError, "Model not found: nobody"),
        ("test-llm", lms.LMStudioServerError, '"test-llm" is an LLM, but an embedding model was'),
    ],
)
def test_what_cannot_embed_is_refused_by_the_server(client, notes, name, error, words):
    with pytest.raises(error, match=words):
        client.files.retrieve("cats", notes, embedding_model=name)


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"chunk_size": 0},
        {"chunk_overlap": -1},
        {"chunk_overlap": 512},
        {"chunk_overlap": 20, "chunk_size": 20},
        {"embedding_model": 5},
        {"embedding_model": lms.FileHandle},
        {"database_file": 5},
        {"on_progress": 5},
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_sent(
    server, client, notes, options
):
    with pytest.raises(lms.LMStudioValueError, match=next(iter(options))):
        client.files.retrieve("cats", notes, **options)
    with pytest.raises(lms.LMStudioValueError, match=r"prepare_file\('a.txt'\) returns"):
        client.files.retrieve("cats", ["a.txt"])
    assert not server.received(endpoint="retrieve")


def test_each_step_of_each_file_is_told(client, notes):
    steps = []

    client.files.retrieve("cats", notes, on_progress=steps.append)

    assert all(isinstance(step, lms.RetrievalProgress) for step in steps)
    of_files = [step for step in steps if step.file is not None]
    assert [(s.step, s.progress, s.file.name) for s in of_files] == [
        (step, progress, name)
        for name in ("0.txt", "1.txt")
        for step in ("loading", "chunking", "embedding")
        for progress in (0.0, 1.0)
    ]
    assert [(s.step, s.progress) for s in steps[len(of_files) :]] == [
        ("searching", 0.0),
        ("searching", 1.0),
    ]


def test_pages_lines_and_oddities(server, client, notes):
    server.hold("retrieve")
    steps = []
    worker = Worker(lambda: client.files.retrieve("cats", notes, on_progress=steps.append))
    call = server.expect("retrieve")
    for odd in (
        {"type": "onFileProcessingStepProgress", "index": 9, "step": "loading", "progress": 0.5},
        {"type": "onFileProcessingStepProgress", "index": 0, "step": 5, "progress": 0.5},
        {"type": "onFileProcessingStepProgress", "index": 0, "step": "loading", "progress": 7},
        {"type": "onFileProcessingStepSomething", "index": 0, "step": "loading"},
        {"type": "somethingNew"},
    ):
        call.packet(odd)
    base = {"content": "x", "score": 1, "sourceIndex": 0}
    more = [{"pageNumber": 3, "lineNumber": [1, 2]}, {"pageNumber": "iv", "lineNumber": [1]}]
    call.packet({"type": "result", "result": {"entries": [{**base, **one} for one in more]}})

    entries = worker.result().entries
    assert steps == []
    assert [(e.page_number, e.line_number) for e in entries] == [(3, (1, 2)), (None, None)]
    assert (entries[0].score, entries[0].source) == (1.0, notes[0])


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"entries": 5},
        {"entries": [{"content": "x", "score": 1, "sourceIndex": 2}]},
        {"entries": [{"content": 5, "score": 1, "sourceIndex": 0}]},
        {"entries": [{"content": "x", "score": "good", "sourceIndex": 0}]},
    ],
)
def test_a_result_that_is_none_is_an_error(server, client, notes, result):
    server.hold("retrieve")
    worker = Worker(lambda: client.files.retrieve("cats", notes))
    server.expect("retrieve").packet({"type": "result", "result": result})

    assert isinstance(worker.error(), lms.LMStudioProtocolError)


# -- stops --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "packet"), [("retrieve", "stop"), ("parseDocument", "cancel")])
def test_a_stop_is_told_in_the_words_of_the_endpoint(server, client, notes, name, packet):
    server.hold(name)
    stop = lms.CancelToken()
    calls = {
        "retrieve": lambda: client.files.retrieve("cats", notes, cancel_event=stop),
        "parseDocument": lambda: client.files.parse_document(notes[0], cancel_event=stop),
    }
    worker = Worker(calls[name])
    call = server.expect(name)

    stop.cancel("enough")

    error = worker.error()
    assert isinstance(error, lms.LMStudioCancelledError)
    assert error.reason == "enough"
    call.expect_cancel()
    assert call.packets == [{"type": packet}]


# -- the asyncio half ---------------------------------------------------------------------------


def test_tasks_do_all_of_it():
    async def use(host):
        async with lms.AsyncClient(host) as client:
            file = await client.files.prepare_file(b"cats sleep", "a.txt")
            steps = []
            found = await client.files.retrieve("cats", [file], on_progress=steps.append)
            document = await client.files.parse_document(file)
            parser = await client.files.get_document_parser(file)
            path = await client.files.get_file_path(file)
            return file, found.entries[0].source, document, parser, path, steps

    with Server() as server:
        file, source, document, parser, path, steps = asyncio.run(use(server.host))

    assert (source, document.content, parser) == (file, "cats sleep", PARSER)
    assert path.endswith(file.identifier)
    assert steps[-1].step == "searching"
