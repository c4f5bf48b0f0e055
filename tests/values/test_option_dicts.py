"""The dicts of options for type checkers have the keys and types of the classes behind them."""

import types
import typing

import attrs
import pytest

import lmstudio as lms
from lmstudio._api import public_names
from lmstudio._config import load_dicts, prediction_dicts
from lmstudio._config.from_user import Config, read_config
from lmstudio._config.option_docs import docs_below
from lmstudio._json.converter import camel_case

CLASSES = [
    lms.GpuSetting,
    lms.LlmStructuredPredictionSetting,
    lms.LlmPredictionConfig,
    lms.LlmLoadModelConfig,
    lms.EmbeddingLoadModelConfig,
]


def dict_of(cls):
    name = f"{cls.__name__}Dict"
    return getattr(load_dicts, name, None) or getattr(prediction_dicts, name)


def home_of(cls):
    """The module that a class is written in; what its `__module__` says is the package."""
    return f"lmstudio.{public_names.HOME[cls.__name__]}"


def members(hint):
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return set(typing.get_args(hint)) if is_union else {hint}


def expected(cls):
    """The keys that a dict of these options may have, each with the set of types of its value."""
    keys = {}
    for name, hint in typing.get_type_hints(cls).items():
        if name not in attrs.fields_dict(cls):
            continue
        taken = members(hint)
        nested = {m for m in taken if isinstance(m, type) and issubclass(m, Config)}
        keys[name] = keys[camel_case(name)] = taken | {dict_of(member) for member in nested}
    return keys


@pytest.mark.parametrize("cls", CLASSES)
def test_a_dict_of_options_has_every_option_in_both_spellings_and_with_its_type(cls):
    hints = typing.get_type_hints(dict_of(cls))

    assert {key: members(hint) for key, hint in hints.items()} == expected(cls)


@pytest.mark.parametrize("cls", CLASSES)
def test_only_options_that_must_be_given_are_required(cls):
    needed = {field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING}

    assert dict_of(cls).__required_keys__ == needed


@pytest.mark.parametrize("cls", CLASSES)
def test_what_is_given_in_such_a_dict_is_read(cls):
    needed = {"type": "json"} if cls is lms.LlmStructuredPredictionSetting else {}
    for key in dict_of(cls).__optional_keys__:
        assert read_config({**needed, key: None}, cls) == cls(**needed)


@pytest.mark.parametrize("cls", CLASSES)
def test_each_key_of_such_a_dict_says_what_the_option_does(cls):
    said = docs_below(home_of(cls), cls.__name__)
    first_lines = {name: text.partition("\n")[0] for name, text in said.items()}
    expected = {camel_case(name): text for name, text in first_lines.items()} | first_lines
    shown = docs_below(home_of(dict_of(cls)), dict_of(cls).__name__)
    required = dict_of(cls).__required_keys__  # those are in a class of their own

    assert shown == {key: text for key, text in expected.items() if key not in required}
