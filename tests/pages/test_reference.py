"""The reference has every public name, once, as what it is."""

import importlib
import inspect
import re

import attrs
import pytest
from api.sources import PACKAGE
from pages.reading import DOCS, entries, text_of

import lmstudio
import lmstudio.testing
from lmstudio._api import public_names
from lmstudio._config.option_docs import docs_below, keys_of

NAMES = sorted({*lmstudio.__all__, *public_names.HOME})
PATHS = [f"lmstudio.{name}" for name in NAMES]
PATHS += [f"lmstudio.testing.{name}" for name in lmstudio.testing.__all__]
MODULES = sorted(
    file.stem for file in PACKAGE.glob("*.py") if file.stem[0] != "_" or file.stem == "_sdk_models"
)
CONFIGURATIONS = [
    lmstudio.LlmPredictionConfig,
    lmstudio.LlmLoadModelConfig,
    lmstudio.EmbeddingLoadModelConfig,
    lmstudio.GpuSetting,
    lmstudio.LlmStructuredPredictionSetting,
]
OPTIONS = [
    pytest.param(cls, field, id=f"{cls.__name__}.{field.name}")
    for cls in CONFIGURATIONS
    for field in attrs.fields(cls)
]
# What a number counts or measures, or between which ones it is.
UNIT = re.compile(
    r"\b(tokens?|texts?|pixels?|bytes|seconds|threads?|bits|layers?|GPUs?|experts?|predictions?"
    r"|checkpoints?|alternatives|seed|index|indexes|share|probability|frequency|-?\d+)\b"
)


def kind(path):
    """The directive that describes what a path names."""
    module, _, name = path.rpartition(".")
    value = getattr(importlib.import_module(module), name)
    if name.isupper() and "_" in name:
        return "autodata"
    if getattr(value, "__name__", name) != name:
        return "alias"
    if inspect.isclass(value) and type(value) is not type(list[int]):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if inspect.isroutine(value) else "alias"


def test_every_public_name_is_in_the_reference_once():
    assert sorted(path for _, _, path in entries()) == sorted(PATHS)


def test_each_name_is_described_as_what_it_is():
    assert [(path, found) for _, found, path in entries() if found != kind(path)] == []


@pytest.mark.parametrize("module", MODULES)
def test_other_modules_hand_on_names_that_are_in_the_reference(module):
    found = importlib.import_module(f"lmstudio.{module}")
    assert {getattr(lmstudio, name, None) is getattr(found, name) for name in found.__all__} == {
        True
    }
    assert set(found.__all__) <= set(NAMES)


def test_other_public_modules_are_named():
    text = text_of(DOCS / "reference" / "index.md")
    assert [name for name in MODULES if f"`lmstudio.{name}`" not in text] == []


@pytest.mark.parametrize("cls", CONFIGURATIONS)
def test_every_configuration_class_is_on_the_page_about_configuration(cls):
    for name in (cls.__name__, f"{cls.__name__}Dict"):
        assert [page for page, _, path in entries() if path == f"lmstudio.{name}"] == [
            "configuration.md"
        ]


@pytest.mark.parametrize(("cls", "option"), OPTIONS)
def test_every_option_is_described_with_its_key_and_its_unit(cls, option):
    module = f"lmstudio.{public_names.HOME[cls.__name__]}"
    text = docs_below(module, cls.__name__)[option.name]
    is_part = cls in (lmstudio.GpuSetting, lmstudio.LlmStructuredPredictionSetting)
    assert is_part or option.name == "raw" or keys_of(option)
    if re.search(r"\b(int|float)\b", str(option.type)):
        assert UNIT.search(text), text
