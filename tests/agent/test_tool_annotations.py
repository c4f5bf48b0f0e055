"""Annotations of tools: which are evaluated, where, and what is said of one that cannot be."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs
import pytest

import lmstudio as lms

if TYPE_CHECKING:
    from collections import OrderedDict as Report


def parameters(tool):
    return lms.ToolFunctionDef.from_callable(tool, name="t", description="d").parameters


def test_what_a_tool_returns_may_be_known_to_type_checkers_only():
    def sales(month: int) -> Report:
        return {}

    assert parameters(sales) == {"month": int}


def test_a_class_of_the_function_that_is_running_around_it_is_found():
    @attrs.define
    class Query:
        month: int

    def search(query: Query, others: list[Query] | None = None) -> str:
        return ""

    assert parameters(search) == {
        "query": Query,
        "others": {"type": list[Query] | None, "default": None},
    }


def test_a_class_in_the_closure_is_found_though_the_function_around_has_returned():
    def make():
        @attrs.define
        class Query:
            month: int

        def search(query: Query) -> str:
            return str(Query)

        return search

    assert parameters(make())["query"].__name__ == "Query"


def test_a_name_that_nobody_knows_is_told_with_the_parameter_and_what_to_do():
    def make():
        class Query: ...

        def search(month: int, query: Query) -> str:
            return ""

        return search

    with pytest.raises(lms.LMStudioValueError, match=r"'Query' is not .* of 'query'; .*top of"):
        parameters(make())


def test_a_wrapper_a_method_and_a_partial_are_read_where_the_function_was_made():
    def logged(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            return function(*args, **kwargs)

        return call

    class Shop:
        def sales(self, month: int, year: int = 2024) -> Report:
            return {}

    sales = Shop().sales
    assert parameters(sales) == parameters(logged(sales))
    assert parameters(functools.partial(sales, 3)) == {"year": {"type": int, "default": 2024}}
