"""The embedded server's own rules: what is wrong with a value, and a value that fits a schema."""

import pytest

from lmstudio.testing._protocol import json_checks as c


@pytest.mark.parametrize(
    ("shape", "value", "words"),
    [
        (c.text(), 1, "Expected string, received number"),
        (c.text(), c.MISSING, "Required"),
        (c.text(1), "", "String must contain at least 1 character(s)"),
        (c.text(0, 2), "abc", "String must contain at most 2 character(s)"),
        (c.number(), True, "Expected number, received boolean"),
        (c.number(), "1", "Expected number, received string"),
        (c.number(whole=True), 1.5, "Expected integer, received float"),
        (c.number(minimum=1), 0, "Number must be greater than or equal to 1"),
        (c.number(above=0), 0, "Number must be greater than 0"),
        (c.number(maximum=25), 26, "Number must be less than or equal to 25"),
        (c.boolean, None, "Expected boolean, received null"),
        (c.array(c.boolean), {}, "Expected array, received object"),
        (c.record, [], "Expected object, received array"),
        (c.obj(), 1, "Expected object, received number"),
        (c.literal("a"), "b", 'Invalid literal value, expected "a"'),
        (c.literal("a", "b"), "c", "Invalid enum value. Expected 'a' | 'b', received 'c'"),
        (c.literal("a", "b"), 1, "Expected 'a' | 'b', received number"),
        (c.literal("a", "b"), c.MISSING, "Required"),
        (c.absent("void"), 1, "Expected void, received number"),
        (c.nullable(c.boolean), 1, "Expected boolean, received number"),
        (c.optional(c.boolean), None, "Expected boolean, received null"),
    ],
)
def test_what_is_wrong(shape, value, words):
    assert shape(value, "x") == [("x", words)]


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (c.number(whole=True), 2.0),
        (c.nullable(c.boolean), None),
        (c.optional(c.boolean), c.MISSING),
        (c.absent("undefined"), c.MISSING),
        (c.anything, c.MISSING),
        (c.obj(a=c.boolean), {"a": True, "b": 1}),
        (c.tagged("type", {"a": c.obj()}), {"type": "a"}),
    ],
)
def test_what_is_right(shape, value):
    assert shape(value, "x") == []


def test_where_it_is_wrong():
    shape = c.obj(a=c.array(c.tagged("kind", {"b": c.obj(n=c.number())})))
    value = {"a": [{"kind": "b", "n": 1}, {"kind": "b"}, {"kind": "c"}, 1]}
    assert shape(value, "parameter") == [
        ("parameter.a.1.n", "Required"),
        ("parameter.a.2.kind", "Invalid discriminator value. Expected 'b'"),
        ("parameter.a.3", "Expected object, received number"),
    ]
