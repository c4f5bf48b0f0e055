"""One TLS connection under load from many threads: nothing is lost, nothing fails.

Sending and receiving on one TLS socket in two threads loses connections; one thread does both.
"""

import threading

import pytest
from helpers import Worker
from tls_proxy import TlsProxy, trusting_context

import lmstudio as lms
from lmstudio.testing import Engine, Server

ROUNDS = 100
STREAMS = 8
SENDERS = 4
TOKENS = 30
ENDLESS = "without end"


class Echo(Engine):
    """Repeats the prompt, or goes on for ever if the prompt says so."""

    def generate(self, request):
        text = request.last_user_text
        while True:
            for _ in range(TOKENS):
                yield text
            if text != ENDLESS or request.stop.wait(0.005):
                return


@pytest.fixture
def tls_model():
    with Server(engine=Echo()) as server, TlsProxy(server.host) as proxy:
        host = f"wss://localhost:{proxy.port}"
        client = lms.Client(host, ssl_context=trusting_context())
        yield lms.LLM("test-llm", client.llm)
        client.close()
        opened = [connection for connection in server.connections if connection.path == "/llm"]
        assert len(opened) == 1, "the connection was lost in between"
        for prediction in server.predictions:
            prediction.wait_finished()


@pytest.mark.timeout(150)  # a busy machine takes a while
def test_streams_and_senders_of_many_threads_share_a_tls_connection_without_a_loss(tls_model):
    barrier = threading.Barrier(STREAMS + SENDERS)

    def stream(number):
        for round_number in range(ROUNDS):
            barrier.wait(60)
            text = f"{number} {round_number} " + "x" * 10 * number
            parts = [fragment.content for fragment in tls_model.respond_stream(text)]
            assert parts == [text] * TOKENS

    def send(number):
        for _ in range(ROUNDS):
            barrier.wait(60)
            for size in (1, 100, 2_000):  # the last takes several TLS records
                assert tls_model.count_tokens("word " * size) >= size
                stream = tls_model.respond_stream(ENDLESS)
                stream.start()
                if number % 2:
                    next(iter(stream))
                stream.cancel()
                assert stream.result().cancelled

    def guard(function, number):
        try:
            function(number)
        except BaseException:
            barrier.abort()
            raise

    workers = [Worker(guard, stream, number) for number in range(STREAMS)]
    workers += [Worker(guard, send, number) for number in range(SENDERS)]
    errors = []
    for worker in workers:
        try:
            worker.result(120)
        except (AssertionError, lms.LMStudioError) as error:
            errors.append(error)
        except threading.BrokenBarrierError:
            pass  # another thread has failed
    assert not errors
