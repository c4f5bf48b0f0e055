"""What JSON a message may hold: how many values, how deep. Pure: counts bytes, parses nothing.

Python makes 25 times as many bytes of `[],[],[]`, and parses a message in one step that no other
thread can interrupt. So a long message is counted before, in steps of a few milliseconds.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator

from ..errors import LMStudioProtocolError

MOST_VALUES = 4_000_000  # in lists and objects: such as the tokens of a text of 16 MB
MOST_OBJECTS = 500_000  # lists, objects and fields of objects, which take 100 bytes each
DEEPEST = 256  # lists and objects in each other
SHORT = 2 * DEEPEST  # bytes in which none of these can be exceeded: a level takes two

_PIECE = 128 * 1024  # bytes that are looked at in one step
_STEPS = bytes.maketrans(b"[{]}", bytes((1, 1, 255, 255)))  # as signed bytes: 1 and -1
_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))


def check_json(message: bytes) -> None:
    """Do nothing if a message may be parsed; that it is JSON is not checked.

    Args:
        message: JSON in UTF-8. With at most `SHORT` bytes it need not be checked.

    Raises:
        LMStudioProtocolError: It holds too much.
    """
    # Most messages, at the cost of two calls; what stands in texts counts as well. (A field takes
    # four bytes, any other value two.)
    opened = message.count(b"[") + message.count(b"{") if len(message) <= MOST_OBJECTS else DEEPEST
    if opened < DEEPEST:
        return
    values = objects = depth = 0
    for piece in _without_texts(message):
        values += piece.count(b",")
        objects += piece.count(b"[") + piece.count(b"{") + piece.count(b":")
        steps = array("b", piece.translate(_STEPS, _NO_BRACKETS))
        deepest = max(itertools.accumulate(steps, initial=depth))
        depth += sum(steps)
        if values > MOST_VALUES or objects > MOST_OBJECTS or deepest > DEEPEST:
            raise LMStudioProtocolError(
                f"The server sent JSON with more than {MOST_VALUES:,} values, with more than "
                f"{MOST_OBJECTS:,} lists, objects and fields, or nested more than {DEEPEST} deep."
            )
        if depth < 0:
            return  # it is no JSON


def _without_texts(message: bytes) -> Iterator[bytes]:
    """Yield, piece by piece, what of a message stands outside of its texts."""
    start, is_inside = 0, False
    while start < len(message):
        end = start + _PIECE
        piece = message[start:end]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # what it escapes stands behind
            end += 1
            piece = message[start:end]
        start = end
        # Without what is escaped, each quotation mark begins or ends a text.
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        yield b"".join(parts[is_inside::2])
        is_inside ^= len(parts) % 2 == 0
