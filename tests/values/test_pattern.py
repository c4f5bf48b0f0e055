"""Patterns of JSON Schemas: what they find, and that none takes for ever."""

import random
import re

import pytest

from lmstudio._json.pattern import Pattern, UnknownPatternError


def finds(pattern, text):
    return Pattern(pattern).is_in(text, lambda work: None)


@pytest.mark.parametrize(
    ("pattern", "fits", "others"),
    [
        ("", ["", "a"], []),
        ("b", ["b", "abc"], ["", "ac"]),
        ("^$", [""], ["a"]),
        ("^a+$", ["a", "aaa"], ["", "ab", "a\n"]),
        ("^(a|bc)*d$", ["d", "abcad"], ["abd"]),
        ("a{2,3}b", ["aab", "aaaab"], ["ab"]),
        ("^a{2}$", ["aa"], ["a", "aaa"]),
        ("^a{2,}$", ["aa", "aaaa"], ["a"]),
        ("^a{0,1}?$", ["", "a"], ["aa"]),
        ("^x{y}$", ["x{y}"], ["xy"]),
        (r"^\d{4}-\d{2}-\d{2}$", ["2026-01-31"], ["2026-1-31", "٢٠٢٦-01-31"]),
        (r"^[\w.-]+@[\w-.]+$", ["a.b-c@d-e.f"], ["a b@c", "@c"]),
        ("^[^a-c]$", ["d", "\n"], ["a", "b", ""]),
        ("^[^]$", ["\n"], [""]),
        ("[]", [], ["a", ""]),
        ("^.$", ["a", "\v"], ["\n", "\u2028"]),
        (r"^\s\S$", ["\u00a0x", "\ufeffx"], ["xx"]),
        (r"^[\b\t\x41\u00e9\]\D]$", ["\b", "\t", "A", "é", "]", "x"], ["1"]),
        (r"^\/\.\$$", ["/.$"], []),
        ("^(?:ab)?(?<name>c)$", ["abc", "c"], ["ab"]),
        ("^ä$", ["ä"], ["a"]),
        ("a|", ["", "b"], []),
    ],
)
def test_a_pattern_is_found_as_javascript_finds_it(pattern, fits, others):
    assert [finds(pattern, text) for text in fits] == [True] * len(fits)
    assert [finds(pattern, text) for text in others] == [False] * len(others)


@pytest.mark.parametrize(
    ("pattern", "text", "is_plain"),
    [
        *[(r"^\w+$", "abc", True), (r"^\w+$", "Müller", False), (r"[^\D]", "\u0661", False)],
        *[("^[a-zé]+$", "é", True), ("[]a]", "]", False), ("[^]a]", "]", False)],
        *[
            ("[[:alpha:]]+", "a", False),
            ("a{,3}", "a", False),
            ("a{b}", "a", True),
            ("a{,}", "a", True),
        ],
    ],
)
def test_what_other_implementations_read_otherwise_is_known(pattern, text, is_plain):
    assert Pattern(pattern).is_plain_for(text) is is_plain


def test_patterns_of_all_kinds_are_found_where_python_finds_them():
    rnd = random.Random(7)

    def pattern(depth):
        kind = rnd.random()
        if depth == 0 or kind < 0.3:
            return rnd.choice(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\D"])
        inner = pattern(depth - 1)
        if kind < 0.5:
            return inner + pattern(depth - 1)
        if kind < 0.65:
            return f"(?:{inner}|{pattern(depth - 1)})"
        if kind < 0.8:
            return f"(?:{inner}){rnd.choice(['*', '+', '?', '{2}', '{1,3}', '{0,}', '*?'])}"
        return f"^{inner}" if kind < 0.9 else f"{inner}$"

    for _ in range(2000):
        written = pattern(4)
        text = "".join(rnd.choice("ab1") for _ in range(rnd.randrange(8)))
        assert finds(written, text) == bool(re.search(written, text, re.ASCII)), (written, text)


@pytest.mark.parametrize(
    "pattern",
    [
        *[
            "(",
            ")",
            "(a",
            "[a",
            "a\\",
            "*",
            "a**",
            "a++",
            "^*",
            "[z-a]",
            "a{3,2}",
            r"\u12",
            r"\xg1",
        ],
        *["(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?i)a", "(?P<n>a)", "(?<1>a)"],
        *[r"\01", r"\ud83d\ude00"],
        *[r"\b", r"\1", r"\k<n>", r"\p{L}", r"\cA", r"\Z"],
        *["a" * 3000, "a{2000}", "(a{900}){900}", "(((){900}){900}){900}", "(" * 500 + ")" * 500],
        "a{99999999999999999999}",
    ],
)
def test_what_is_not_known_or_too_long_is_said(pattern):
    try:
        assert not finds(pattern, "b")  # a brace that counts nothing is a brace
        assert pattern == "a{99999999999999999999}"
    except UnknownPatternError:
        pass


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "(a*)*b", "(a|aa|aaa)*c", "(.*a){30}b"])
def test_the_work_grows_with_the_text_and_no_faster(pattern):
    def work(length):
        spent = []
        assert not Pattern(pattern).is_in("a" * length + "!", spent.append)
        return sum(spent)

    assert work(400) < 4.5 * work(100)


def test_the_work_can_be_ended():
    class EnoughError(Exception):
        pass

    def spend(work):
        raise EnoughError

    with pytest.raises(EnoughError):
        Pattern("b").is_in("aaa", spend)
