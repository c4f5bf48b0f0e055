"""What user code raises, as the log shows it: with its traceback, escaped, and never in the way."""

import pytest

from lmstudio._api.shown import Failure

EVIL = "\x1b]0;owned\x07\nroot: all is well\r\u202e"


def fail(text, cause=None):
    raise ValueError(text) from cause


def failure(text, cause=None):
    try:
        fail(text, cause)
    except ValueError as error:
        return error


def test_an_exception_is_shown_with_its_traceback_and_escaped():
    text = str(Failure(failure(EVIL, failure("first\x1b[2J"))))

    assert text.startswith(r"ValueError: '\x1b]0;owned\x07\nroot: all is well\r\u202e'")
    assert r"from ValueError: 'first\x1b[2J'" in text
    assert text.count("in fail\n") == 2
    assert all(line.isprintable() for line in text.split("\n"))


def test_what_was_suppressed_is_not_shown():
    try:
        try:
            fail("inner")
        except ValueError:
            raise KeyError("outer") from None
    except KeyError as error:
        assert "inner" not in str(Failure(error))


@pytest.mark.parametrize("cls", [RuntimeError, RecursionError, UnicodeError])
def test_an_exception_whose_text_cannot_be_made_is_shown_all_the_same(cls):
    class Odd(Exception):
        def __str__(self):
            raise cls("no")

    assert "text cannot be made" in str(Failure(Odd()))


def test_a_long_text_is_cut_and_a_chain_in_circles_ends():
    error, other = ValueError("x" * 10_000), ValueError("y")
    error.__cause__, other.__cause__ = other, error

    assert len(str(Failure(error))) < 4 * 400
