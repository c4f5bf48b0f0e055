"""Websocket frames: our reader against websocket-client's, and against broken peers."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websocket import ABNF
from websocket._abnf import frame_buffer

from lmstudio._connection.frames import FrameReader, frame_text
from lmstudio.errors import LMStudioProtocolError

LIMIT = 1 << 20


def server_frame(payload, opcode=ABNF.OPCODE_TEXT, fin=1):
    frame = ABNF(fin, 0, 0, 0, opcode, 0, payload)
    return frame.format()


def cut(data, sizes):
    """Cut bytes into pieces of these sizes, used in turn."""
    position = 0
    while position < len(data):
        for size in sizes:
            yield data[position : position + size]
            position += size


@given(
    payloads=st.lists(st.binary(max_size=300) | st.sampled_from([b"x" * 126, b"y" * 70_000])),
    sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=8),
)
def test_the_reader_agrees_with_frame_buffer_however_the_bytes_are_cut(payloads, sizes):
    data = b"".join(server_frame(payload) for payload in payloads)
    rest = bytearray(data)

    def take(count):
        piece = bytes(rest[:count])
        del rest[:count]
        return piece

    reference = frame_buffer(take, True)
    expected = [reference.recv_frame().data for _ in payloads]
    reader = FrameReader(LIMIT)

    received = [message for piece in cut(data, sizes) for message in reader.feed(piece)]

    assert received == expected == payloads


@given(
    parts=st.lists(st.binary(max_size=50), min_size=2, max_size=5),
    size=st.integers(1, 40),
)
def test_a_message_in_several_frames_is_joined_around_control_frames(parts, size):
    frames = [server_frame(parts[0], fin=0)]
    frames += [server_frame(part, ABNF.OPCODE_CONT, fin=0) for part in parts[1:-1]]
    frames += [server_frame(b"ping", ABNF.OPCODE_PING)]
    frames += [server_frame(parts[-1], ABNF.OPCODE_CONT)]
    reader = FrameReader(LIMIT)

    received = [
        message for piece in cut(b"".join(frames), [size]) for message in reader.feed(piece)
    ]

    assert received == [b"".join(parts)]
    assert reader.controls == [(ABNF.OPCODE_PING, b"ping")]


def test_binary_messages_are_dropped():
    reader = FrameReader(LIMIT)

    assert reader.feed(server_frame(b"\0", ABNF.OPCODE_BINARY) + server_frame(b"a")) == [b"a"]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_the_documented_error(data):
    reader = FrameReader(LIMIT)

    reader.feed(data)

    assert reader.error is None or isinstance(reader.error, LMStudioProtocolError)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x85\0\0\0\0hello",  # masked
        b"\xc1\x01a",  # a reserved bit
        b"\x83\x01a",  # an unknown opcode
        b"\x80\x01a",  # a continuation of nothing
        b"\x01\x01a\x81\x01b",  # a new message inside another
        b"\x09\x01a",  # a control frame in parts
    ],
)
def test_frames_that_break_the_rules_are_refused(frame):
    reader = FrameReader(LIMIT)

    assert reader.feed(server_frame(b"before") + frame) == [b"before"]  # nothing received is lost
    assert isinstance(reader.error, LMStudioProtocolError)


def test_a_huge_message_is_refused_before_it_is_held_in_memory():
    reader = FrameReader(LIMIT)
    reader.feed(b"\x81\x7f" + struct.pack("!Q", 1 << 40))

    assert "limit is 1,048,576 bytes" in str(reader.error)


def test_a_huge_message_in_many_frames_is_refused_too():
    reader = FrameReader(1000)
    reader.feed(server_frame(b"x" * 600, fin=0))
    assert reader.error is None

    reader.feed(server_frame(b"x" * 600, ABNF.OPCODE_CONT))

    assert "limit" in str(reader.error)


def test_a_big_message_in_small_reads_is_joined_once():
    data = server_frame(b"x" * 500_000)
    reader = FrameReader(LIMIT)
    joins = 0

    class CountingList(list):
        def clear(self):
            nonlocal joins
            joins += 1
            super().clear()

    reader._rest = CountingList()
    received = [message for piece in cut(data, [1460]) for message in reader.feed(piece)]

    assert received == [b"x" * 500_000]
    assert joins <= 2


def test_our_frames_are_masked_whole_text_messages():
    frame = frame_text(b"hello")

    assert frame[0] == 0x81
    assert frame[1] == 0x80 | 5
    assert ABNF.mask(frame[2:6], frame[6:]) == b"hello"
