"""What is told of an upload while it goes on."""

import asyncio
import itertools
import threading

import pytest
from handles.uploading import BIG, SMALL, assert_uploads_again, contents, open_upload
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio.testing import Server

MOST = 102  # calls: one for each hundredth, before the first, and after the last


def assert_in_order(shares):
    assert {type(share) for share in shares} == {float}
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert all(one < two for one, two in itertools.pairwise(shares))
    assert len(shares) <= MOST


@pytest.mark.parametrize("size", [1, 96 * 1024, 96 * 1024 + 1, 3_000_000, len(BIG)])
def test_each_hundredth_is_told_upwards_and_the_end_last(server, client, size):
    shares, threads = [], set()

    def tell(share):
        shares.append(share)
        threads.add(threading.get_ident())
        assert share < 1.0 or contents(server)  # the server has it then

    client.prepare_image(BIG[:size], on_progress=tell)

    assert_in_order(shares)
    assert len(shares) > 10 or size < len(BIG)
    assert threads == {threading.get_ident()}


def test_every_upload_tells_it(server, client, monkeypatch, tmp_path):
    (tmp_path / "a.png").write_bytes(SMALL)
    lms.close_default_client()
    lms.configure_default_client(server.host)
    try:
        for upload in (lms.prepare_image, client.prepare_image, client.files.prepare_file):
            shares = []
            upload(tmp_path / "a.png", on_progress=shares.append)
            assert shares == [0.0, 1.0]
    finally:
        lms.close_default_client()
        lms.configure_default_client()


def test_in_the_middle_it_is_the_share_that_was_sent(server, client):
    shares = []
    upload, source = open_upload(client, on_progress=shares.append)
    eventually(lambda: shares and shares[-1] > 0)

    assert shares[-1] <= 22 * 96 * 1024 / len(BIG)  # no more than was read
    source.finish()
    upload.result()
    assert_in_order(shares)


def test_a_server_that_takes_nothing_is_not_told_as_progress(server, client, stalled):
    shares = []
    upload = stalled(on_progress=shares.append)
    assert not shares or shares[-1] < 1

    stalled.connection.resume()

    assert upload.result().size_bytes == len(BIG)
    assert_in_order(shares)


@pytest.mark.parametrize("failure", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("first", [0.0, 0.3])
def test_what_it_raises_stops_the_upload_and_is_raised(server, client, failure, first):
    def tell(share):
        if share >= first:
            raise failure

    with pytest.raises(failure):
        client.prepare_image(BIG, "big.png", on_progress=tell)

    assert_uploads_again(server, client)


def test_what_it_raises_at_the_end_is_raised_and_the_file_is_there(server, client):
    def tell(share):
        assert share < 1.0, "enough"

    with pytest.raises(AssertionError, match="enough"):
        client.prepare_image(SMALL, on_progress=tell)

    assert contents(server) == [SMALL]


def test_it_may_cancel_the_upload(server, client):
    token = lms.CancelToken()
    shares = []

    def tell(share):
        shares.append(share)
        if share > 0.2:
            token.cancel("too slow")

    with pytest.raises(lms.LMStudioCancelledError, match="too slow"):
        client.prepare_image(BIG, "big.png", on_progress=tell, cancel_event=token)

    assert shares[-1] < 1.0
    assert_uploads_again(server, client)


async def coroutine(share):
    """What nobody would await."""


@pytest.mark.parametrize("wrong", [5, "tell", coroutine, lambda: None, lambda a, b: None])
def test_a_callback_that_cannot_be_called_so_is_refused(server, client, wrong):
    with pytest.raises(lms.LMStudioValueError, match="on_progress"):
        client.prepare_image(SMALL, on_progress=wrong)
    assert not server.received(path="/files")


def test_in_the_background_it_is_called_where_callbacks_belong(server, client):
    shares = []
    future = lms.run_in_background(client.prepare_image, BIG, on_progress=shares.append)

    assert future.result(20).size_bytes == len(BIG)
    assert_in_order(shares)


# -- the asyncio half ---------------------------------------------------------------------------


def in_a_task(server, do):
    async def run():
        async with lms.AsyncClient(server.host) as client:
            return await asyncio.wait_for(do(client), 20.0)

    return asyncio.run(run())


def test_a_task_is_told_on_its_loop_before_the_upload_returns(server):
    shares, threads = [], set()

    def tell(share):
        shares.append(share)
        threads.add(threading.get_ident())
        asyncio.get_running_loop()

    async def do(client):
        await client.files.prepare_file(BIG, "big.bin", on_progress=tell)
        assert_in_order(shares)
        shares.clear()
        await client.prepare_image(SMALL, on_progress=tell)
        assert shares == [0.0, 1.0]

    in_a_task(server, do)
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("first", [0.0, 0.3, 1.0])
def test_what_it_raises_on_the_loop_stops_the_upload_and_is_raised(first):
    told = []

    def tell(share):
        told.append(share)
        if share >= first:
            raise ZeroDivisionError

    async def do(client):
        with pytest.raises(ZeroDivisionError):
            await client.prepare_image(BIG, "big.png", on_progress=tell)
        count = len(told)
        await client.prepare_image(SMALL, "next.png")
        assert len(told) == count  # nothing is told after the failure

    with Server() as server:
        in_a_task(server, do)
        assert [file.name for file in server._core.files.values()][-1] == "next.png"


def test_a_task_that_is_cancelled_is_told_nothing_more(server):
    told = []

    async def do(client):
        task = asyncio.current_task()

        def tell(share):
            told.append(share)
            task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await client.prepare_image(BIG, "big.png", on_progress=tell)
        count = len(told)
        task.uncancel() if hasattr(task, "uncancel") else None
        await client.prepare_image(SMALL, "next.png")
        assert len(told) == count

    in_a_task(server, do)


def test_a_callback_that_cannot_be_called_so_is_refused_in_a_task_too(server):
    async def do(client):
        for wrong in (5, coroutine, lambda: None):
            with pytest.raises(lms.LMStudioValueError, match="on_progress"):
                await client.prepare_image(SMALL, on_progress=wrong)

    in_a_task(server, do)
    assert not server.received(path="/files")


def test_whoever_waits_for_a_slow_callback_is_the_thread_that_uploads(server, client):
    called, go_on = threading.Event(), threading.Event()

    def tell(share):
        called.set()
        assert go_on.wait(10)

    worker = Worker(lambda: client.prepare_image(SMALL, on_progress=tell))
    assert called.wait(10)
    assert client.llm.model().count_tokens("a b") == 2  # nobody else waits

    go_on.set()
    assert worker.result().size_bytes == len(SMALL)
