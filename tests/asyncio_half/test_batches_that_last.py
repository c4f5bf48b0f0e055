"""Patience, retries and journals of batches in an event loop, whose other tasks go on meanwhile."""

import asyncio
import json
import threading

import pytest
from asyncio_half.loops import run, turns
from batch.storms import Echo, Host
from helpers import free_port

import lmstudio as lms
from lmstudio._batch import hosts as _hosts
from lmstudio._batch import journal_file

# asyncio loses sight of what connects while its server is closed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(_hosts, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(_hosts, "LONGEST_PAUSE", 0.02)


async def numbers(count):
    for number in range(count):
        await asyncio.sleep(0)
        yield str(number)


def test_a_server_that_comes_back_goes_on_with_the_batch():
    async def main():
        with Host(engine=Echo()) as host:
            async with lms.AsyncClient(host.host) as client:
                model = await client.llm.model()
                batch = model.respond_many(numbers(20), max_parallel=2, ahead=2, ordered=True)
                taken = [await anext(batch) for _ in range(5)]
                await asyncio.to_thread(host.kill)
                rest = asyncio.create_task(_all(batch))
                await turns(lambda: all(one.epoch for one in batch._hosts))
                await asyncio.to_thread(host.start)
                taken += await rest
                assert [outcome.index for outcome in taken] == list(range(20))
                assert all(outcome.result.content == f"to {outcome.input}" for outcome in taken)

    run(main)


async def _all(batch):
    return [outcome async for outcome in batch]


def test_a_task_that_is_cancelled_while_it_waits_for_a_server_leaves_what_is_to_be_done():
    async def main():
        client = lms.AsyncClient(f"127.0.0.1:{free_port()}")
        model = lms.AsyncLLM("test-llm", client.llm)
        batch = model.respond_many(numbers(3), patience=None)
        task = asyncio.create_task(_all(batch))
        await turns(lambda: all(one.epoch for one in batch._hosts))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert batch.cancelled()
        assert [text async for text in batch.unfinished()] == ["0", "1", "2"]
        await client.aclose()

    run(main)


def test_what_failed_is_tried_again(server):
    server.reply("one two", error_after=1)

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            (outcome,) = await _all(model.respond_many(["a"], retries=1))
            assert (outcome.attempts, outcome.error) == (2, None)

    run(main)


def test_a_journal_is_opened_read_and_written_beside_the_loop(server, tmp_path, monkeypatch):
    path = tmp_path / "out.jsonl"
    threads = set()
    for name in ("open", "load", "find", "write"):
        work = getattr(journal_file.JournalFile, name)

        def noted(*arguments, work=work):
            threads.add(threading.current_thread().name)
            return work(*arguments)

        monkeypatch.setattr(journal_file.JournalFile, name, noted)

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            journal = lms.BatchJournal(path, fsync=True)
            first = model.respond_many(numbers(5), journal=journal)
            async for outcome in first:
                if outcome.index == 2:
                    break
            written = len(path.read_bytes().splitlines())
            again = await _all(model.respond_many(numbers(5), journal=journal))
            assert sorted(outcome.index for outcome in again) == list(range(5))
            assert sum(outcome.recorded for outcome in again) == written >= 1

    run(main)
    assert threads == {"lmstudio-wait"}
    assert len({json.loads(line)["index"] for line in path.read_bytes().splitlines()}) == 5
