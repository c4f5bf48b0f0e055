"""Forked children: what belongs to the parent is inert, clients and handles start anew."""

import socket
import sys
from types import SimpleNamespace

import pytest
from child_process import assert_stopped, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")

FORK = """
import concurrent.futures
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, on purpose
warnings.simplefilter("ignore", ResourceWarning)  # inherited sockets

def in_child(work):
    \"\"\"Run a function in a forked child, and return the child's exit code.\"\"\"
    sys.stdout.flush()  # or the child prints it once more
    child = os.fork()
    if child == 0:
        try:
            work()
        except Exception:
            import traceback
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        sys.exit(0)  # with all exit hooks
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def refused(action, words):
    try:
        action()
    except lms.LMStudioRuntimeError as error:
        assert words in str(error), str(error)
    else:
        raise AssertionError("it was not refused")
"""


def test_streams_batches_and_calls_of_the_parent_are_refused_in_a_child_and_go_on_in_the_parent(
    talking_server,
):
    output = run(
        talking_server,
        FORK
        + """
stream = model.respond_stream("hi")
iterator = iter(stream)
next(iterator)
batch = model.respond_many(["a", "b"], max_parallel=2)
future = model.respond_stream("hi").run_in_background()
def work():
    for action, words in (
        (lambda: next(iterator), "stream"),
        (stream.result, "stream"),
        (lambda: iter(stream), "stream"),
        (lambda: next(batch), "batch"),
        (future.result, "future"),
        (future.done, "future"),
        (lambda: future.add_done_callback(print), "future"),
        (lambda: concurrent.futures.wait([future]), "future"),
        (lambda: next(concurrent.futures.as_completed([future])), "future"),
    ):
        refused(action, f"This {words} belongs to the parent process")
    stream.cancel()
    batch.cancel()
    future.cancel()
    assert "of the parent process" in repr(future)
print(in_child(work))
print(len([next(iterator) for _ in range(50)]), future.cancel(), stream.cancel())
batch.cancel()
""",
    )
    assert output == ["0", "50", "True", "True"]
    assert_stopped(talking_server, 2)


def test_a_client_and_its_handles_start_anew_in_a_child_and_the_parents_go_on(talking_server):
    output = run(
        talking_server,
        FORK
        + """
lms.configure_default_client(sys.argv[1])
handle = lms.llm()  # as a module of a program has it
stream = handle.respond_stream("hi")
iterator = iter(stream)
next(iterator)
default = lms.get_default_client()
def work():
    assert handle.count_tokens("a b c") == 3
    assert model.count_tokens("a b") == 2
    assert lms.llm().count_tokens("a") == 1
    other = handle.respond_stream("hi")
    texts = [next(iter(other)).content]
    event = threading.Event()
    event.set()
    assert model.respond("hi", cancel_event=event).cancelled
    other.cancel()
    assert other.result().acknowledged
    threads = {thread.name for thread in threading.enumerate()}
    assert "lmstudio-io" in threads
    client.cancel_all()
    client.close()
    try:
        model.count_tokens("a")
    except lms.LMStudioClientError as error:
        assert "closed" in str(error)
    else:
        raise AssertionError("the child closed its client")
    assert in_child(lambda: handle.count_tokens("x")) == 0  # a child of the child
print(in_child(work), in_child(work))
print(model.count_tokens("a b"))  # the parent's client was not closed
print(len([next(iterator) for _ in range(50)]))
stream.cancel()
print(stream.result().acknowledged)
client.close()
lms.close_default_client()
""",
    )
    assert output == ["0", "0", "2", "50", "True"]
    assert_stopped(talking_server, 3)


def test_worker_pools_and_threads_of_a_child_use_a_model_of_the_module(talking_server):
    output = run(
        talking_server,
        FORK
        + """
import concurrent.futures, multiprocessing
context = multiprocessing.get_context("fork")
model.count_tokens("a")
def count(text):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return sum(pool.map(model.count_tokens, [text] * 8))
with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
    print(*pool.map(count, ["a", "b c", "d e f"]))
print(model.count_tokens("a b"))
client.close()
""",
    )
    assert output == ["8", "16", "24", "2"]


def test_tokens_of_the_parent_follow_their_events_and_times_in_a_child(talking_server):
    output = run(
        talking_server,
        FORK
        + """
class Button:
    pressed = False
    def is_set(self):
        return self.pressed

def works(made, press=lambda: None, after=None):
    def look():
        press()
        assert token.wait(5) and both.wait(5)
    def stop():
        is_set = token.is_set()
        assert not is_set or (after and time.monotonic() - begun >= after)
        threading.Timer(0.05, press).start()
        assert model.respond("Tell me a story.", cancel_event=both).cancelled
    def look_and_fork():
        assert in_child(look) == 0
    for work in (look, stop, look_and_fork):
        begun = time.monotonic()
        token = made()
        both = lms.CancelToken.any(token)
        print(in_child(work))

event, last, button = threading.Event(), threading.Event(), Button()
tokens = [lms.CancelToken.any(e) for e in (event, last, button)]
works(lambda: lms.CancelToken.after(0.5), after=0.5)
works(lambda: tokens[0], event.set)
works(lambda: tokens[1], last.set)
works(lambda: tokens[2], lambda: setattr(button, "pressed", True))
assert not any(token.is_set() for token in tokens)
client.close()
""",
    )
    assert output == ["0"] * 12


def test_a_guest_of_a_child_is_another_guest_and_one_with_a_token_is_the_same(talking_server):
    output = run(
        talking_server,
        FORK
        + """
token = "sk-lm-abcdefgh:abcdefghijklmnopqrst"
guest = lms.Client(sys.argv[1], "")
known = lms.Client(sys.argv[1], token)
ids = [c._identity.auth_packet()["clientIdentifier"] for c in (guest, known)]
def work():
    mine = [c._identity.auth_packet()["clientIdentifier"] for c in (guest, known)]
    assert mine[0] != ids[0] and mine[0].startswith("guest:"), mine
    assert mine == [c._identity.auth_packet()["clientIdentifier"] for c in (guest, known)]
    assert mine[1] == ids[1]
print(in_child(work), guest._identity.auth_packet()["clientIdentifier"] == ids[0])
""",
    )
    assert output == ["0", "True"]


def test_a_file_of_the_parent_is_refused_in_a_child_unless_a_token_makes_both_one(talking_server):
    output = run(
        talking_server,
        FORK
        + """
token = "sk-lm-abcdefgh:abcdefghijklmnopqrst"
image = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(20)
known = lms.Client(sys.argv[1], token)
def chat(handle):
    chat = lms.Chat()
    chat.add_user_message("look", images=[handle])
    return chat
own, shared = client.prepare_image(image), known.prepare_image(image)
def work():
    calls = model.respond, model.respond_stream, model.count_tokens, model.apply_prompt_template
    for call in calls:
        refused(lambda: call(chat(own)), "was uploaded by the parent process")
    model.respond_stream(chat(client.prepare_image(image + b"1")))
    known.llm.model().respond_stream(chat(shared))
    refused(lambda: model.act(chat(own), [add]), "was uploaded by the parent process")
def add(a: int) -> int:
    "Add."
    return a
print(in_child(work))
model.respond_stream(chat(own))
client.close()
""",
    )
    assert output == ["0"]


def test_a_child_forked_while_another_thread_holds_every_lock_works(talking_server):
    output = run(
        talking_server,
        FORK
        + """
import pickle
from lmstudio._client import client as clients
locks = [clients._restored.value.lock]
model.count_tokens("a")
for lock in locks:
    lock.acquire()  # as another thread might have at the fork
def work():
    future = pickle.loads(pickle.dumps(model)).respond_stream("hi").run_in_background()
    future.cancel()
    future.result(5)
print(in_child(work))
for lock in locks:
    lock.release()
client.close()
""",
    )
    assert output == ["0"]


def test_a_child_is_one_guest_though_several_connections_ask_at_once(talking_server):
    output = run(
        talking_server,
        FORK
        + """
import concurrent.futures
identity = client._identity
identity.auth_packet()
def work():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        packets = list(pool.map(lambda _: str(identity.auth_packet()), range(200)))
    assert len(set(packets)) == 1, set(packets)
print(in_child(work))
""",
    )
    assert output == ["0"]


def test_looking_at_a_parents_stream_is_refused_though_a_thread_held_its_lock(talking_server):
    output = run(
        talking_server,
        FORK
        + """
stream = model.respond_stream("hi")
iterator = iter(stream)
next(iterator)
def work():
    stream.cancel()
    refused(lambda: stream.stats, "belongs to the parent process")
    refused(lambda: stream.model_info, "belongs to the parent process")
    assert "parent" in stream._repr_markdown_()
with stream._reader._fold_lock:
    print(in_child(work))
stream.cancel()
print(stream.result().acknowledged)
""",
    )
    assert output == ["0", "True"]


def test_a_child_holds_no_connection_of_the_parent_open(talking_server):
    output = run(
        talking_server,
        FORK
        + """
model.count_tokens("a")
sockets = [port.transport.socket for port in client._session.dispatcher._ports.values()]
assert sockets
numbers = [sock.fileno() for sock in sockets]
def work():
    for number in numbers:
        try:
            os.fstat(number)
        except OSError:
            continue
        raise AssertionError("it is open")
    assert model.count_tokens("a b") == 2
print(in_child(work), model.count_tokens("a b"))
client.close()
""",
    )
    assert output == ["0", "2"]


def test_a_fork_waits_for_an_import_that_another_thread_is_in_the_middle_of(talking_server):
    output = run(
        talking_server,
        FORK
        + """
import importlib.abc, importlib.util
entered, go_on = threading.Event(), threading.Event()
class Slow(importlib.abc.Loader):
    def create_module(self, spec): return None
    def exec_module(self, module):
        entered.set()
        go_on.wait(10)
        module.ready = True
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "cattrs.slow":
            return importlib.util.spec_from_loader(name, Slow())
import cattrs
sys.meta_path.insert(0, Finder())
threading.Thread(target=lambda: __import__("cattrs.slow"), daemon=True).start()
entered.wait(10)
threading.Timer(0.05, go_on.set).start()
def work():
    import cattrs.slow
    assert cattrs.slow.ready
print(in_child(work))
""",
    )
    assert output == ["0"]


def test_a_child_that_is_forked_while_the_parent_connects_does_not_hold_that_connection():
    """Else the server would not see the end of a parent that is killed, while the child lives."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = SimpleNamespace(host=f"127.0.0.1:{silent.getsockname()[1]}")
        output = run(
            server,
            FORK
            + """
stream = model.respond_stream("hi")
stream.start()
attempts = lambda: [p._attempt for p in client._session.dispatcher._ports.values() if p._attempt]
wait_until(lambda: attempts() and attempts()[0].socket)
descriptor = attempts()[0].socket.fileno()
def work():
    try:
        os.fstat(descriptor)
    except OSError:
        print("closed")
print(in_child(work))
client.close(timeout=0)
""",
        )
    assert output == ["closed", "0"]
