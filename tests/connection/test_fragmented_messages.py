"""Big messages in small frames: how they are cut, queued and written, whatever the socket takes."""

import itertools
import ssl
from collections import deque

from hypothesis import given
from hypothesis import strategies as st
from websocket import ABNF
from websocket._abnf import frame_buffer

from lmstudio._connection.frames import (
    FRAME_BYTES,
    FragmentedMessage,
    FrameReader,
    fragment_frame,
    fragment_text,
)
from lmstudio._connection.transport import Transport

SIZES = st.integers(1, 300) | st.sampled_from(
    [FRAME_BYTES * n + rest for n in (1, 2, 3) for rest in (-1, 0, 1)]
)


def text_of(size):
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def read_frames(data):
    """The frames in bytes that a client has sent, as websocket-client reads them."""
    rest = memoryview(bytes(data))

    def take(count):
        nonlocal rest
        piece, rest = bytes(rest[:count]), rest[count:]
        return piece

    reader = frame_buffer(take, True)
    frames = []
    while rest:
        frames.append(reader.recv_frame())
    return frames


def joined(frames):
    """The text messages that frames carry; control frames may stand anywhere, others may not."""
    messages, parts = [], []
    for frame in frames:
        if frame.opcode in (ABNF.OPCODE_PONG, ABNF.OPCODE_CLOSE):
            continue
        assert frame.opcode == (ABNF.OPCODE_CONT if parts else ABNF.OPCODE_TEXT)
        parts.append(frame.data)
        if frame.fin:
            messages.append(b"".join(parts))
            parts = []
    assert not parts, "a message was left open"
    return messages


# -- cutting ----------------------------------------------------------------------------------


@given(SIZES)
def test_the_frames_of_a_message_carry_that_message(size):
    text = text_of(size)

    frames = read_frames(b"".join(fragment_text(text)))

    assert max(len(frame.data) for frame in frames) <= FRAME_BYTES
    assert joined(frames) == [text]
    unmasked = [ABNF(f.fin, 0, 0, 0, f.opcode, 0, f.data).format() for f in frames]
    assert FrameReader(1 << 30).feed(b"".join(unmasked)) == [text]


@given(size=SIZES, count=st.integers(0, 5))
def test_a_message_that_is_cut_ends_where_it_is(size, count):
    text = text_of(size)
    pieces = FragmentedMessage(fragment_text(text))
    taken = list(itertools.islice(pieces, count))
    is_complete = bool(taken) and taken[-1][0] & 0x80

    assert pieces.cut() is not bool(is_complete)

    rest = list(pieces)
    if is_complete or not taken:
        assert rest == []  # nothing more is to be said, or nothing at all
    else:
        (message,) = joined(read_frames(b"".join(taken + rest)))
        assert text.startswith(message)
        assert message != text


def test_the_text_of_a_message_is_let_go_with_its_last_frame():
    released = []

    def frames():
        try:
            yield from fragment_text(b"a")
        finally:
            released.append(True)

    next(FragmentedMessage(frames()))

    assert released


def test_each_frame_has_a_mask_of_its_own():
    assert len({fragment_frame(b"")[2:6] for _ in range(100)}) > 90


# -- writing ----------------------------------------------------------------------------------


class Slow:
    """A message whose frames are made one by one, by somebody else."""

    def __init__(self, text):
        self._coming = deque(fragment_text(text))
        self._made = deque()

    def __iter__(self):
        return self

    def __next__(self):
        return self._made.popleft() if self._made else None

    def make(self):
        if self._coming:
            self._made.append(self._coming.popleft())


class FakeSocket:
    """Takes what it is told to take, then all; 0 stands for no room."""

    def __init__(self, takes):
        self.taken = bytearray()
        self._takes = deque(takes)

    def setblocking(self, flag):
        pass

    def send(self, data):
        count = min(self._takes.popleft() if self._takes else len(data), len(data))
        if count == 0:
            raise ssl.SSLWantWriteError
        self.taken += data[:count]
        return count


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["text", "big", "slow"]), SIZES)
        | st.tuples(st.sampled_from(["ping", "flush", "make", "make", "cut"]), st.none()),
        max_size=15,
    ),
    takes=st.lists(st.sampled_from([0, 1, 50, 10_000, 100_000]), max_size=40),
    says_goodbye=st.booleans(),
)
def test_whatever_the_socket_takes_messages_stay_whole_and_in_order(steps, takes, says_goodbye):
    socket = FakeSocket(takes)
    transport = Transport(socket, FrameReader(0))
    slow, pieces, expected, pings = [], [], [], 0
    for step, size in steps:
        if size is not None:
            text = b"%d " % len(expected) + text_of(size)
            expected.append(text)
        if step == "text":
            transport.send_text(text)
        elif step == "big":
            transport.send_text(FragmentedMessage(fragment_text(text)))
        elif step == "slow":
            slow.append(Slow(text))
            pieces.append((len(expected) - 1, FragmentedMessage(slow[-1])))
            transport.send_text(pieces[-1][1])
        elif step == "ping":
            pings += 1
            transport._reader.controls.append((ABNF.OPCODE_PING, b"p"))
            transport._answer_controls()
        elif step == "flush":
            transport.flush()
        elif step == "make" and slow:
            slow[-1].make()
        elif step == "cut" and pieces:
            number, message = pieces.pop()
            if message.cut():
                expected[number] = expected[number][:-1]  # at least its end is missing
    if says_goodbye:
        transport.say_goodbye()
    for _ in range(200):
        for message in slow:
            message.make()
        transport.flush()

    assert not transport.is_busy
    assert not transport.wants_to_write
    frames = read_frames(socket.taken)
    messages = joined(frames)
    numbers = [int(message.split()[0]) for message in messages]
    assert numbers == sorted(numbers)
    for number, message in zip(numbers, messages, strict=True):
        assert expected[number].startswith(message)
    whole = [text for text in expected if text in messages]
    cut = sum(1 for step, _ in steps if step == "cut")
    assert len(whole) >= len(expected) - cut
    assert sum(frame.opcode == ABNF.OPCODE_PONG for frame in frames) == pings
    if says_goodbye:
        assert frames[-1].opcode == ABNF.OPCODE_CLOSE


def test_a_big_message_gives_other_connections_their_turn():
    socket = FakeSocket([])
    transport = Transport(socket, FrameReader(0))

    transport.send_text(FragmentedMessage(fragment_text(text_of(FRAME_BYTES * 20))))

    assert len(socket.taken) < FRAME_BYTES * 6
    assert transport.wants_to_write  # so that select() tells when to go on
    turns = 1
    while transport.flush():
        turns += 1
    assert turns >= 5
    assert not transport.is_busy
    assert joined(read_frames(socket.taken)) == [text_of(FRAME_BYTES * 20)]


def test_nothing_follows_the_answer_to_a_close_frame():
    socket = FakeSocket([])
    transport = Transport(socket, FrameReader(0))
    transport.send_text(FragmentedMessage(Slow(text_of(FRAME_BYTES * 3))))
    transport.send_text(b"waits")

    transport._reader.controls.append((ABNF.OPCODE_CLOSE, b"\x03\xe9"))
    transport._answer_controls()

    assert transport.failure.close_code == 1001
    assert [frame.opcode for frame in read_frames(socket.taken)] == [ABNF.OPCODE_CLOSE]
