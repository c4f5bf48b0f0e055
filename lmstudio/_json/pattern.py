"""Finds the pattern of a JSON Schema in a text, in time that no pattern can blow up.

Python's `re` may take for ever, and would hold up all threads: schemas may come from strangers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeAlias

_LONGEST = 2000  # characters of a pattern, and steps of the machine that it becomes
_DEEPEST = 50  # groups in groups
_MOST = 1000  # repetitions that are counted

# A set of characters: the codes where it begins and ends, in turn. 3 is in (1, 4, 9, 12), 4 is not.
_Set: TypeAlias = tuple[int, ...]
_Node: TypeAlias = tuple[Any, ...]
# One step of a machine: ("char", set), ("split", there, or_there), ("jump", there), ("start",),
# ("end",), ("found",).
_Step: TypeAlias = tuple[Any, ...]


class UnknownPatternError(ValueError):
    """The pattern is none, or has something in it that is not known here."""


class Pattern:
    """A pattern, as JavaScript has them.

    Lookarounds, references to groups, word boundaries, flags and classes of Unicode are not known.

    Thread safety: all threads; nothing changes.
    """

    def __init__(self, pattern: str) -> None:
        """Read it.

        Raises:
            UnknownPatternError: It is not known what it means.
        """
        if len(pattern) > _LONGEST:
            raise UnknownPatternError("too long")
        parser = _Parser(pattern)
        self._steps = _Machine(parser.parse()).steps
        self._is_plain, self._has_classes = parser.is_plain, parser.has_classes

    def is_plain_for(self, text: str) -> bool:
        r"""Return whether other implementations mean the same, as far as this text goes.

        For those of Python and Rust ``\w`` and ``\d`` are also letters and digits beyond ASCII,
        ``[]a]`` is one class, and ``{,3}`` counts.
        """
        return self._is_plain and (not self._has_classes or text.isascii())

    def is_in(self, text: str, spend: Callable[[int], object]) -> bool:
        """Return whether it is found anywhere in a text.

        Args:
            text: The text.
            spend: Called for each character with the number of steps; it may raise, to end it.
        """
        steps, codes = self._steps, [ord(char) for char in text]
        states: list[int] = []
        for at in range(len(codes) + 1):
            states.append(0)  # it may begin at any character
            seen = self._follow(states, at == 0, at == len(codes))
            if seen is None:
                return True
            if at < len(codes):
                spend(len(seen))
                code = codes[at]
                states = [
                    state + 1
                    for state in seen
                    if steps[state][0] == "char" and bisect_right(steps[state][1], code) % 2
                ]
        return False

    def _follow(self, states: list[int], is_start: bool, is_end: bool) -> set[int] | None:
        """Return the steps that can be reached without a character; None: it is found."""
        seen: set[int] = set()
        while states:
            state = states.pop()
            if state in seen:
                continue
            seen.add(state)
            kind, *there = self._steps[state]
            if kind == "found":
                return None
            if kind in ("split", "jump"):
                states += there
            elif (kind == "start" and is_start) or (kind == "end" and is_end):
                states.append(state + 1)
        return seen


class _Machine:
    """The steps that a pattern becomes."""

    def __init__(self, node: _Node) -> None:
        self.steps: list[_Step] = []
        self._work = 0
        self._add(node)
        self.steps.append(("found",))

    def _add(self, node: _Node) -> None:
        self._work += 1  # also for what adds no step: {1000} of {1000} of nothing
        if self._work > _LONGEST:
            raise UnknownPatternError("too long")
        kind = node[0]
        if kind == "sequence":
            for part in node[1]:
                self._add(part)
        elif kind == "either":
            self._add_either(node[1])
        elif kind == "repeat":
            self._add_repeated(*node[1:])
        else:
            self.steps.append(node)

    def _later(self) -> int:
        """Add a step that is set when it is known where it leads; return its place."""
        self.steps.append(())
        return len(self.steps) - 1

    def _add_either(self, nodes: list[_Node]) -> None:
        jumps = []
        for node in nodes[:-1]:
            split = self._later()
            self._add(node)
            jumps.append(self._later())
            self.steps[split] = ("split", split + 1, len(self.steps))
        self._add(nodes[-1])
        for jump in jumps:
            self.steps[jump] = ("jump", len(self.steps))

    def _add_repeated(self, node: _Node, least: int, most: int | None) -> None:
        for _ in range(least):
            self._add(node)
        splits = []
        for _ in range(1 if most is None else most - least):
            splits.append(self._later())
            self._add(node)
        if most is None:
            self.steps.append(("jump", splits[0]))
        for split in splits:
            self.steps[split] = ("split", split + 1, len(self.steps))


class _Parser:
    """Reads a pattern."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self.is_plain = True  # whether all implementations read it so
        self.has_classes = False  # whether there is a class such as \w in it

    def parse(self) -> _Node:
        node = self._either()
        if self._at < len(self._pattern):
            self._refuse()
        return node

    def _refuse(self) -> NoReturn:
        raise UnknownPatternError(f"at {self._at} of {self._pattern!r}")

    def _is_next(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        is_next = self._is_next(text)
        self._at += len(text) if is_next else 0
        return is_next

    def _next(self) -> str:
        if self._at == len(self._pattern):
            self._refuse()
        self._at += 1
        return self._pattern[self._at - 1]

    def _either(self) -> _Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse()
        nodes = [self._sequence()]
        while self._take("|"):
            nodes.append(self._sequence())
        self._depth -= 1
        return ("either", nodes)

    def _sequence(self) -> _Node:
        nodes = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            nodes.append(self._repeated())
        return ("sequence", nodes)

    def _repeated(self) -> _Node:
        node = self._one()
        counts = self._counts()
        if counts is None:
            return node
        self._take("?")  # how much it takes makes no difference here
        if node[0] in ("start", "end") or self._counts() is not None:
            self._refuse()
        return ("repeat", node, *counts)

    def _counts(self) -> tuple[int, int | None] | None:
        for sign, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return counts
        end = self._pattern.find("}", self._at)
        if not self._is_next("{") or end < 0:
            return None
        least, comma, most = self._pattern[self._at + 1 : end].partition(",")
        if not (_is_count(least) and (not most or _is_count(most))):
            self.is_plain &= bool(least) or not _is_count(most)
            return None  # then it is a brace like any other character
        self._at = end + 1
        low = int(least)
        high = (int(most) if most else None) if comma else low
        if low > _MOST or (high is not None and not low <= high <= _MOST):
            self._refuse()
        return low, high

    def _one(self) -> _Node:
        char = self._next()
        if char == "^":
            return ("start",)
        if char == "$":
            return ("end",)
        if char == "(":
            return self._group()
        if char == "[":
            return ("char", self._class())
        if char == ".":
            return ("char", _not(_LINE_ENDS))
        if char == "\\":
            return ("char", self._escape())
        if char in "*+?":
            self._refuse()
        return ("char", _only(char))

    def _group(self) -> _Node:
        if self._take("?") and not self._take(":"):
            # One with a name is a group; what looks ahead or back is not known.
            end = self._pattern.find(">", self._at)
            if not self._take("<") or not self._pattern[self._at : end].isidentifier():
                self._refuse()
            self._at = end + 1
        node = self._either()
        if not self._take(")"):
            self._refuse()
        return node

    def _escape(self) -> _Set:
        """Return the characters that are meant by what follows a backslash."""
        char = self._next()
        if char in "dDwWsS":
            self.has_classes = True
            chars = _SETS[char.lower()]
            return chars if char.islower() else _not(chars)
        if char == "0" and self._pattern[self._at : self._at + 1].isdecimal():
            self._refuse()  # a number in octal digits, to some
        if char in _ESCAPED:
            return _only(_ESCAPED[char])
        if char in "xu":
            return _only(self._code(2 if char == "x" else 4))
        if char.isalnum():
            self._refuse()
        return _only(char)

    def _code(self, length: int) -> str:
        digits = self._pattern[self._at : self._at + length]
        if len(digits) < length or not set(digits) <= set("0123456789abcdefABCDEF"):
            self._refuse()
        self._at += length
        code = int(digits, 16)
        if 0xD800 <= code < 0xE000:  # half of a character
            self._refuse()
        return chr(code)

    def _class(self) -> _Set:
        is_not = self._take("^")
        self.is_plain &= not self._is_next("]") and not self._is_next("[:")
        ranges: list[tuple[int, int]] = []
        while not self._take("]"):
            chars = self._member()
            if self._is_next("-") and not self._is_next("-]"):
                self._at += 1
                last = self._member()
                if not (_is_one(chars) and _is_one(last)):  # as [\w-.]: a sign like others
                    ranges += [*_ranges(_only("-")), *_ranges(last)]
                elif chars[0] > last[0]:
                    self._refuse()
                else:
                    chars = (chars[0], last[1])
            ranges += _ranges(chars)
        chars = _joined(ranges)
        return _not(chars) if is_not else chars

    def _member(self) -> _Set:
        char = self._next()
        if char != "\\":
            return _only(char)
        return _only("\b") if self._take("b") else self._escape()


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _only(char: str) -> _Set:
    return (ord(char), ord(char) + 1)


def _is_one(chars: _Set) -> bool:
    return len(chars) == 2 and chars[1] == chars[0] + 1


def _ranges(chars: _Set) -> Iterable[tuple[int, int]]:
    return zip(chars[::2], chars[1::2], strict=True)


def _not(chars: _Set) -> _Set:
    inside = chars[1:] if chars[:1] == (0,) else (0, *chars)
    return inside[:-1] if inside[-1:] == (_END,) else (*inside, _END)


def _joined(ranges: Iterable[tuple[int, int]]) -> _Set:
    chars: list[int] = []
    for start, end in sorted(ranges):
        if chars and start <= chars[-1]:
            chars[-1] = max(chars[-1], end)
        else:
            chars += [start, end]
    return tuple(chars)


def _all_of(text: str) -> _Set:
    return _joined((ord(char), ord(char) + 1) for char in text)


_END = 0x110000  # after the last character
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_LINE_ENDS = _all_of("\n\r\u2028\u2029")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SETS = {
    "d": _all_of("0123456789"),
    "w": _all_of("0123456789_" + _LETTERS + _LETTERS.upper()),
    "s": _all_of(
        "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
        "\u2028\u2029\u202f\u205f\u3000\ufeff"
    ),
}
