"""The fault matrix: whatever breaks, and whenever, a call ends as promised and the next one works.

Each cell is a fault in a situation. The call that is under way ends within its bound with the
documented error, which has what was received of a prediction; nothing is left behind, nothing is
printed, and the next calls on the same client work. The outcomes are printed at the end.
"""

import itertools
import json
import socket

import pytest
from helpers import Worker, eventually
from robustness.fault_bench import (
    LIMIT,
    LONG,
    Bench,
    look_for_life,
    shrink,
    silent_address,
    stopped,
    wait_arrived,
)
from robustness.faults import MANY, SCENES
from robustness.hostile import frame, text_frame

import lmstudio as lms
from lmstudio._connection import port as _link
from lmstudio._connection.dispatcher import CLOSED_REASON
from lmstudio._connection.transport import _MANY_FRAMES

AT_ONCE = 65_536  # bytes that the client reads at once, at most
RECONNECTS = "The next call connects again"


# -- the other end goes away ------------------------------------------------------------------


def socket_reset(scene):
    scene.begin()
    scene.connection.drop()
    return scene.loses(RECONNECTS)


def clean_close(scene):
    scene.begin()
    scene.connection.close(1001)
    return scene.loses(rf"closed the connection.*1001.*{RECONNECTS}")


def tls_cut(scene):
    """The connection ends without the alert with which TLS ends one."""
    scene.begin()
    scene.connection.drop()  # which makes the proxy cut its other side
    return scene.loses(RECONNECTS)


def server_restart(scene):
    scene.begin()
    scene.bench.restart()
    return scene.loses(RECONNECTS)


def half_frame(scene):
    """The connection ends in the middle of a frame."""
    scene.begin()
    scene.connection.send_raw(b"\x81\x7e\x01")
    scene.bench.server._core.loop.call(scene.connection._websocket.transport.close)
    return scene.loses(RECONNECTS)


# -- the other end says nothing, or takes nothing ---------------------------------------------


def silence(scene):
    scene.begin()
    if not scene.is_running:
        look_for_life(scene)
        return scene.ignores()
    scene.wait_silent()
    scene.bench.a_minute_passes(scene.pending)
    outcome = scene.fails(lms.LMStudioTimeoutError, r"silent for idle_timeout=60 s")
    if scene.is_channel:
        scene.call.expect_cancel()
    return outcome


def stalled_frame(scene):
    """A frame stops in the middle, and goes on when nobody waits for it any more."""
    scene.begin()
    frame = text_frame(scene.late())
    scene.connection.send_raw(frame[:9])
    eventually(lambda: scene.link.transport._reader._rest)
    if not scene.is_running:
        scene.connection.send_raw(frame[9:])
        return scene.ignores()
    scene.bench.a_minute_passes(scene.pending)
    outcome = scene.fails(lms.LMStudioTimeoutError, r"silent for idle_timeout=60 s")
    scene.connection.send_raw(frame[9:])
    return outcome


def dead_peer(scene):
    """The server's machine has gone: not even pings are answered."""
    scene.begin()
    transport = scene.link.transport
    scene.connection.pause()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_link, "_ANSWER", 0.05)
        patch.setattr(_link, "_QUICK_ANSWER", 0.05)
        look_for_life(scene)
        if scene.is_running:
            # Once more, where the socket took another frame after that, which is a sign of life.
            eventually(lambda: scene.link.transport is not transport or look_for_life(scene))
            return scene.loses(rf"not even the answer to a ping.*{RECONNECTS}")
        outcome = scene.succeeds()
    assert scene.link.transport is not scene.transport
    return outcome


def full_send_buffer(scene):
    """The server stops reading: cancels and time limits act all the same."""
    worker, call = stuff(scene)
    scene.connection.send_raw(b"\x89\x00" * 2000)  # pings, whose answers it does not take either
    scene.wait_read()
    assert len(scene.link.transport._outgoing) < _MANY_FRAMES + 10
    scene.token.cancel("enough")
    outcome = scene.is_cancelled("enough")
    while worker.is_alive():  # until it is certain that the socket takes nothing more
        scene.bench.a_minute_passes(call)
    with pytest.raises(lms.LMStudioTimeoutError, match="silent for idle_timeout=60 s"):
        worker.result()
    scene.connection.resume()
    if scene.is_running and scene.is_channel:
        scene.call.expect_cancel()
    return outcome


def dead_when_full(scene):
    """The server stops reading, and has gone: what was not written goes to the next connection."""
    worker, _ = stuff(scene)
    transport = scene.link.transport
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_link, "_ANSWER", 0.05)
        while scene.link.transport is transport:  # until the socket takes nothing more
            look_for_life(scene, transport)
        outcome = scene.loses(rf"not even the answer to a ping.*{RECONNECTS}")
    if scene.path == "/files":
        scene.bench.server.release(scene.endpoint)
        assert worker.result(LIMIT).name == "waits.txt"
    else:
        assert isinstance(worker.error(LIMIT), lms.LMStudioConnectionLostError)
    return outcome


def close_when_full(scene):
    """The server stops reading: closing the client does not wait for it."""
    worker, _ = stuff(scene)
    Worker(lambda: scene.bench.client.close(timeout=0.1)).result(LIMIT)
    eventually(lambda: scene.bench.dispatcher.reactor.has_ended)
    outcome = scene.is_cancelled(CLOSED_REASON)
    if scene.path == "/llm":
        assert worker.result().cancelled
    else:
        assert isinstance(worker.error(), lms.LMStudioCancelledError)
    return outcome


def stuff(scene):
    """Bring a call so far that the server takes nothing any more, with another one behind it."""
    scene.size = LONG
    scene.begin()
    shrink(scene)
    scene.connection.pause()
    return scene.fill()


def stopped_process(scene):
    """The client was stopped for longer than every limit: what lies in its socket counts."""

    def send():
        if scene.can_be_slow:
            for number in range(1, MANY + 1):
                scene.call._channel.send(scene.packet(number))
        scene.answer()

    scene.begin()
    if not scene.is_running:
        with stopped(scene):
            pass
        return scene.ignores()
    scene.wait_silent()
    with stopped(scene):
        size = wait_arrived(scene, send)
        assert not scene.can_be_slow or size > AT_ONCE
    scene.finish()
    scene.check(scene.worker.result(LIMIT))
    return "goes on"


def finaliser_in_our_thread(scene):
    """Python's collector runs a user's finaliser in the I/O thread, and it makes a call."""
    scene.begin()
    refused = []

    class Resource:
        def __del__(self):
            with pytest.raises(lms.LMStudioRuntimeError) as error:
                scene.bench.model.count_tokens("a b")
            refused.append(str(error.value))

    scene.bench.in_loop(Resource)
    assert len(refused) == 1
    return scene.ignores()


def slow_reader(scene):
    """Nobody reads what arrives: nothing is lost, nothing else has to wait, no time limit acts."""
    scene.gate.clear()
    scene.begin()
    pending = scene.pending

    def flood():
        for number in range(1, MANY + 1):
            scene.call._channel.send(scene.packet(number))

    scene.bench.server._core.loop.call(flood)
    eventually(lambda: pending.inbox.qsize() >= MANY)
    scene.bench.others_go_on(scene.path)
    assert len(scene.reports) == 1
    scene.answer()
    eventually(lambda: not scene.bench.dispatcher.open)
    scene.bench.a_minute_passes(pending)
    scene.gate.set()
    scene.finish()
    scene.check(scene.worker.result(LIMIT))
    assert len(scene.reports) > MANY
    return "goes on"


# -- the other end says what it must not ------------------------------------------------------


def garbage_frame(scene):
    scene.begin()
    scene.connection.send_raw(b"\xff\xff\xff\xff")
    return scene.loses("websocket frame", lms.LMStudioProtocolError)


def huge_frame(scene):
    scene.begin()
    scene.connection.send_raw(b"\x81\x7f" + b"\x7f" * 8)
    return scene.loses("the limit is 268,435,456 bytes", lms.LMStudioProtocolError)


def invalid_utf8(scene):
    scene.begin()
    scene.connection.send_raw(b"\x81\x02\xff\xfe")
    return scene.loses("not JSON", lms.LMStudioProtocolError)


def utf16(scene):
    """JSON in another encoding than websockets have, which Python's reader of bytes accepts."""
    scene.begin()
    scene.connection.send_raw(frame(json.dumps(scene.late()).encode("utf-16-le")))
    return scene.loses("not JSON", lms.LMStudioProtocolError)


def too_many_values(scene):
    """A message that is small, and that would take 25 times as much memory."""
    scene.begin()
    scene.connection.send_text("[" + "[]," * 600_000 + "0]")
    return scene.loses("500,000 lists, objects and fields", lms.LMStudioProtocolError)


def invalid_json(scene):
    scene.begin()
    scene.connection.send_text('{"type": "channelSend", "channelId": ')
    return scene.loses("not JSON", lms.LMStudioProtocolError)


def wrong_ids(scene):
    """Answers for calls that there are not, or that are of the other kind."""
    scene.begin()
    strangers = [10**9, -1, 0.5, 10**30, None, str(scene.id), float(scene.id), [scene.id], {}]
    packet, details = {"type": "success"}, {"title": "Not yours"}
    for_channels, for_rpcs = strangers[:], strangers[:]
    if scene.is_running:
        (for_rpcs if scene.is_channel else for_channels).append(scene.id)
    for number in for_channels:
        scene.send(type="channelSend", channelId=number, message=packet)
        scene.send(type="channelError", channelId=number, error=details)
        scene.send(type="channelClose", channelId=number)
    for number in for_rpcs:
        scene.send(type="rpcResult", callId=number, result={"tokenCount": 7})
        scene.send(type="rpcError", callId=number, error=details)
    return scene.ignores()


def duplicate_success(scene):
    scene.begin()
    return scene.succeeds(twice=True)


def closed_early(scene):
    """The channel is closed, and there was no outcome."""
    scene.begin()
    if scene.is_running:
        scene.call.close()
    else:
        scene.send(type="channelClose", channelId=scene.id)
    words = "LM Studio closed the channel before the outcome"
    return scene.is_refused(lms.LMStudioChannelClosedError, words)


def channel_error(scene):
    scene.begin()
    if scene.is_running:
        scene.call.error("Out of memory", suggestion="Buy some.")
    else:
        scene.send(type="channelError", channelId=scene.id, error={"title": "Out of memory"})
    return scene.is_refused(lms.LMStudioServerError, "error: Out of memory\n  Suggestion: Buy")


def rpc_error(scene):
    scene.begin()
    error = {"title": "Disk full", "cause": "Too many cats."}
    scene.send(type="rpcError", callId=scene.id, error=error)
    return scene.is_refused(
        lms.LMStudioServerError, r"RPC error: [\w ]+ failed: Disk full\n  Cause: Too many cats\."
    )


def warning_only(scene):
    """The server warns, and does not answer; warnings that concern nobody come before."""
    scene.begin()
    parameter = scene.pending.parameter if scene.is_running else None
    for kind, endpoint in (
        ("channelUnknown", scene.endpoint),
        ("brandNew", scene.endpoint),
        (scene.warning, "somethingElse"),
        (scene.warning, scene.endpoint),
    ):
        words = f"Received what is unknown, endpoint = {endpoint}"
        if kind.endswith("TypeError"):
            words = f"Received invalid parameter, endpointName = {endpoint}, "
            words += "parameter" if kind.startswith("rpc") else "creationParameter"
            words += f" = {json.dumps(parameter)}. Expected what it is not."
        scene.send(type="communicationWarning", kind=kind, warning=words)
    return scene.is_refused(lms.LMStudioServerError, "LM Studio does not accept the call")


# -- the other end does not let us in any more ------------------------------------------------


def auth_refused(scene):
    """The connection is lost, and the server refuses the next one."""
    scene.begin()
    scene.bench.let_in("refuse")
    scene.connection.drop()
    scene.wait_lost()
    outcome = scene.again(lms.LMStudioServerError, "Authentication failed")
    scene.bench.let_in("normal")
    return outcome


def auth_garbage(scene):
    """The connection is lost, and what answers then is no LM Studio."""
    scene.begin()
    scene.bench.answer_auth(text_frame(["hello"]))
    scene.connection.drop()
    scene.wait_lost()
    outcome = scene.again(lms.LMStudioProtocolError, "does not speak LM Studio's protocol")
    scene.bench.let_in("normal")
    return outcome


def auth_huge(scene):
    """The connection is lost, and the answer to the next authentication has no end."""
    scene.begin()
    scene.bench.answer_auth(b"\x81\x7f" + b"\0\0\0\x7f" * 2 + b"x" * 200_000)
    scene.connection.drop()
    scene.wait_lost()
    outcome = scene.again(lms.LMStudioProtocolError, "does not speak LM Studio's protocol")
    scene.bench.let_in("normal")
    return outcome


def auth_silent(scene):
    """The connection is lost, and the server does not answer the next authentication."""
    scene.begin()
    scene.bench.let_in("silent")
    scene.connection.drop()
    scene.wait_lost()
    scene.bench.connect_within(0.1)
    outcome = scene.again(lms.LMStudioWebsocketError, "did not answer within connect_timeout")
    scene.bench.connect_within(5.0)
    scene.bench.let_in("normal")
    return outcome


def first_address_silent(scene):
    """The connection is lost, and the first address of the server's name answers nothing."""
    scene.begin()
    lookup = socket.getaddrinfo
    with silent_address() as address, pytest.MonkeyPatch.context() as patch:
        silent = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)
        patch.setattr(socket, "getaddrinfo", lambda *a, **k: [silent, *lookup(*a, **k)])
        scene.connection.drop()
        outcome = scene.loses(RECONNECTS)
        scene.bench.server.release(scene.endpoint)
        scene.bench.others_go_on()
    return outcome


# -- the matrix -------------------------------------------------------------------------------

FAULTS = {
    fault.__name__: (fault, fault is tls_cut)
    for fault in (
        socket_reset,
        clean_close,
        half_frame,
        tls_cut,
        server_restart,
        silence,
        stalled_frame,
        dead_peer,
        full_send_buffer,
        dead_when_full,
        close_when_full,
        slow_reader,
        stopped_process,
        finaliser_in_our_thread,
        garbage_frame,
        huge_frame,
        invalid_utf8,
        utf16,
        invalid_json,
        too_many_values,
        wrong_ids,
        duplicate_success,
        closed_early,
        channel_error,
        rpc_error,
        warning_only,
        auth_refused,
        auth_silent,
        auth_garbage,
        auth_huge,
        first_address_silent,
    )
}
# Reading and writing are not the same over TLS.
for fault in (
    clean_close,
    server_restart,
    stalled_frame,
    full_send_buffer,
    close_when_full,
    slow_reader,
    garbage_frame,
):
    FAULTS[f"{fault.__name__}_tls"] = fault, True
# What ends a call, or nothing at all, but not the connection.
KEEP_CONNECTION = {
    silence,
    stalled_frame,
    full_send_buffer,
    slow_reader,
    stopped_process,
    finaliser_in_our_thread,
    wrong_ids,
    duplicate_success,
    closed_early,
    channel_error,
    rpc_error,
    warning_only,
}
NO_CHANNEL = "it is a remote call: there is no channel that could fail or close"
NO_RPC = "it is a channel: rpcError is for remote calls (as a wrong id it is ignored)"
NOTHING_COMES = "nothing comes that could be read slowly"
IMPOSSIBLE = {
    **dict.fromkeys(
        itertools.product(("rpc", "upload"), ("closed_early", "channel_error")), NO_CHANNEL
    ),
    **dict.fromkeys(
        itertools.product(("load", "prefill", "generating", "download", "act"), ("rpc_error",)),
        NO_RPC,
    ),
    **dict.fromkeys(
        itertools.product(
            ("rpc", "upload", "between_rounds", "idle"), ("slow_reader", "slow_reader_tls")
        ),
        NOTHING_COMES,
    ),
}
FAILED = "FAILED"
ALL = list(itertools.product(SCENES, FAULTS))
CELLS = [cell for cell in ALL if cell not in IMPOSSIBLE]


@pytest.fixture(scope="module")
def outcomes(request):
    """What each cell came to; printed after the tests."""
    found = {}
    request.config.pluginmanager.register(Summary(found))
    return found


class Summary:
    """A plugin of pytest that prints the matrix."""

    def __init__(self, found):
        self._found = found

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("fault matrix")
        for line in table(self._found):
            terminalreporter.write_line(line)


def table(found):
    """The matrix as lines of text: a row for each fault, a column for each situation."""
    notes = list(dict.fromkeys(IMPOSSIBLE.values()))
    rows = [["", *(name.replace("_", " ") for name in SCENES)]]
    for fault in FAULTS:
        row = [fault.replace("_", " ").replace("tls", "TLS")]
        for situation in SCENES:
            cell = situation, fault
            why = IMPOSSIBLE.get(cell)
            row.append(found.get(cell, "") if why is None else f"- ({notes.index(why) + 1})")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    for number, note in enumerate(notes, 1):
        yield f"- ({number}) cannot occur: {note}"
    passed = sum(outcome != FAILED for outcome in found.values())
    yield f"{len(CELLS)} cells, {passed} passed, {len(IMPOSSIBLE)} cannot occur"


@pytest.mark.parametrize(("situation", "name"), CELLS, ids=map("-".join, CELLS))
def test_fault(situation, name, outcomes, capfd):
    fault, is_tls = FAULTS[name]
    has_failed = outcomes.get((situation, name)) == FAILED  # in an earlier repetition
    outcomes[situation, name] = FAILED
    with Bench(is_tls) as bench:
        scene = SCENES[situation](bench)
        outcome = fault(scene)
        scene.over()
        bench.assert_over()
        if fault is close_when_full:
            with pytest.raises(lms.LMStudioClientError, match="closed"):
                bench.model.count_tokens("a")
        else:
            bench.assert_usable(scene)
        if fault in KEEP_CONNECTION:
            assert len(bench.connections(scene.path)) == 1
    assert capfd.readouterr() == ("", "")
    if not has_failed:
        outcomes[situation, name] = outcome


def test_every_cell_is_run_or_known_to_be_impossible():
    assert set(IMPOSSIBLE) < set(ALL)
    assert len(CELLS) + len(IMPOSSIBLE) == len(SCENES) * len(FAULTS)
