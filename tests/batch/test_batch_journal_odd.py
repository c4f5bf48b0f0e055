"""A journal that somebody has changed, that another call spoilt, or whose disk fails."""

import json
import os

import pytest
from batch.storms import Echo, Host
from child_process import run
from helpers import Worker, eventually, needs_fork

import lmstudio as lms
from lmstudio._batch import journal_file
from lmstudio._batch.journal_file import JournalFile

# asyncio loses sight of what connects while its server is closed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.jsonl"


def test_a_wrong_argument_leaves_the_journal_free_while_its_error_is_looked_at(server, model, path):
    before = len(model._session.scopes)
    with pytest.raises(lms.LMStudioValueError) as held:
        model.respond_many(["a"], journal=path, progress="wrong")
    assert len(list(model.respond_many(["a"], journal=path))) == 1
    assert len(model._session.scopes) == before
    assert held.tb is not None  # as in an interactive session


def test_the_folder_may_change_before_the_first_outcome(server, model, tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "a")
    batch = model.respond_many(["a", "b"], journal="out.jsonl")
    monkeypatch.chdir(tmp_path / "b")
    assert len(list(batch)) == 2
    assert len((tmp_path / "a" / "out.jsonl").read_bytes().splitlines()) == 2
    assert os.listdir(tmp_path / "b") == []


def test_zeros_at_the_end_are_cut_as_a_torn_line_is(server, model, path):
    list(model.respond_many(["a", "b"], journal=path))
    before = path.read_bytes()
    path.write_bytes(before + b"\0" * 5000)
    outcomes = list(model.respond_many(["a", "b", "c"], journal=path))
    assert sorted(outcome.recorded for outcome in outcomes) == [False, True, True]
    assert path.read_bytes().startswith(before)
    assert path.read_bytes().count(b"\n") == 3
    assert b"\0" not in path.read_bytes()


@pytest.mark.parametrize(
    "change", [{"occurrence": float("inf")}, {"tool_calls": 5}, {"tool_calls": [1]}]
)
def test_a_record_that_cannot_be_used_is_named_and_loses_nothing(server, model, path, change):
    list(model.respond_many(["a"], journal=path))
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}) + "\n")
    batch = model.respond_many(["a"], journal=path)
    with pytest.raises(lms.LMStudioValueError, match="as its journal"):
        list(batch)
    assert list(batch) == []
    assert list(batch.unfinished()) == ["a"]


def test_a_disk_that_cannot_sync_is_told_once_and_loses_no_outcome(
    server, model, path, monkeypatch
):
    def fail(_descriptor):
        raise OSError(5, "Input/output error")

    journal = lms.BatchJournal(path, fsync=True)
    batch = model.respond_many(["a", "b"], journal=journal, max_parallel=1)
    monkeypatch.setattr(journal_file.os, "fsync", fail)
    with pytest.raises(lms.LMStudioOSError, match="Input/output error"):
        list(batch)
    assert [outcome.index for outcome in batch if not outcome.cancelled] == [0]
    assert list(batch.unfinished()) == ["b"]


def test_what_is_given_after_another_batch_took_the_journal_is_no_error(server, model, path):
    journal = lms.BatchJournal(path, fsync=True)
    server.hold("predict")
    batch = model.respond_many(["a", "b"], journal=journal, max_parallel=2)
    worker = Worker(next, batch)
    calls = [server.expect("predict") for _ in range(2)]
    calls[0].success()
    worker.result()
    batch.cancel()
    other = model.respond_many(["c"], journal=path)
    assert [outcome.cancelled for outcome in batch] == [True]
    other.cancel()


def test_a_cancel_with_much_that_waits_for_its_turn_looks_at_it_once(monkeypatch):
    count = 2000
    with Host(engine=Echo()) as host, lms.Client(host.host) as client:
        model = client.llm.model()
        host.server.hold("predict")
        inputs = ["the first", *[5] * count]  # the others cannot be sent: they have their error
        batch = model.respond_many(inputs, ordered=True, ahead=count, max_parallel=2)
        worker = Worker(next, batch)
        host.server.expect("predict")
        eventually(lambda: batch.numbers.done == count)
        looks = []

        class Open(dict):
            def values(self):
                looks.append(len(self))
                return super().values()

        batch.cancel()
        worker.result()
        batch._open = Open(batch._open)
        assert len(list(batch)) == count
        assert sum(looks) <= count + 1


@pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody delete an open file")
def test_a_journal_that_is_replaced_stops_the_batch_and_loses_no_outcome(server, model, path):
    """As editors do when they save it."""
    server.hold("predict")
    batch = model.respond_many(["a", "b", "c"], journal=path, max_parallel=1)
    worker = Worker(next, batch)
    server.expect("predict").success()
    assert worker.result().index == 0
    server.expect("predict").success()
    server.release("predict")
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").replace(path)
    with pytest.raises(lms.LMStudioOSError, match="deleted or replaced"):
        list(batch)
    assert [outcome.index for outcome in batch if not outcome.cancelled] == [1]
    assert list(batch.unfinished()) == ["c"]
    again = list(model.respond_many(["a", "b", "c"], journal=path))
    assert sum(outcome.recorded for outcome in again) == 1


@needs_fork
def test_a_child_that_is_forked_while_a_thread_reads_a_journal_goes_on(server, tmp_path):
    """A lock of the reader's would stay taken in the child, whose fork closes the journal."""
    path = tmp_path / "journal.jsonl"
    record = {"index": 0, "input": "0" * 32, "attempts": 1, "embedding": [0.5] * 60}
    with path.open("w") as lines:
        for number in range(20_000):
            lines.write(json.dumps({**record, "id": number}) + "\n")
    output = run(
        server,
        f"""
        import warnings
        warnings.simplefilter("ignore")  # fork with threads, on purpose
        embedding = lms.EmbeddingModel("test-embedding", client.embedding)
        journal = lms.BatchJournal({str(path)!r}, input_id=lambda text: text)
        batch = embedding.embed_many(["a"], to_prompt=str, journal=journal)
        reader = threading.Thread(target=list, args=(batch,))
        reader.start()
        from lmstudio._batch import journal_file
        wait_until(lambda: journal_file._open)
        children = []
        while reader.is_alive() and len(children) < 20:
            child = os.fork()
            if child == 0:
                os._exit(0)
            children.append(os.waitpid(child, 0)[1])
        reader.join()
        print(set(children))
        """,
    )
    assert output == ["{0}"]


@needs_fork
def test_a_child_closes_a_journal_that_a_thread_was_in_the_middle_of(tmp_path):
    journal = JournalFile(lms.BatchJournal(tmp_path / "journal.jsonl"), "chat", lambda: False)
    journal.open()
    journal._turn.acquire()  # as a thread that writes, which no child has
    child = os.fork()
    if child == 0:
        os._exit(0 if journal._file.closed and journal._reader.closed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    journal._turn.release()
    journal.close()
