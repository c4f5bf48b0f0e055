"""What is written below each option is what `help()` shows: what it does, its default, its key."""

import inspect
import pydoc
import re
import subprocess
import sys

import attrs
import pytest

import lmstudio as lms
from lmstudio._config import option_docs

CLASSES = [lms.LlmPredictionConfig, lms.LlmLoadModelConfig, lms.EmbeddingLoadModelConfig]
OPTIONS = [(cls, field) for cls in CLASSES for field in attrs.fields(cls) if field.metadata]
NAMES = [f"{cls.__name__}.{field.name}" for cls, field in OPTIONS]


def said_of(cls, name):
    """What `help()` says of an option, in one line."""
    section = inspect.getdoc(cls).partition("Attributes:\n")[2]
    (text,) = re.findall(rf"(?ms)^    {name}: (.*?)(?=^    \w|\Z)", section)
    return " ".join(text.split())


@pytest.mark.parametrize(("cls", "option"), OPTIONS, ids=NAMES)
def test_help_says_what_an_option_does_its_default_and_its_key(cls, option):
    said = said_of(cls, option.name)

    assert all(f"``{key}``" in said for key in option_docs.keys_of(option))
    assert re.search(r"Key(s?): ", said)
    assert re.search("(?i)default", said) or option.name == "gpu"


def shown(default):
    return '``""``' if default == "" else str(default)


@pytest.mark.parametrize(("cls", "option"), OPTIONS, ids=NAMES)
def test_the_default_that_is_told_is_the_one_that_is_used(cls, option):
    default = option.metadata.get("default")
    if isinstance(default, bool | int | float | str):
        assert f"Default: {shown(default)}" in said_of(cls, option.name)


@pytest.mark.parametrize("cls", [lms.GpuSetting, lms.LlmStructuredPredictionSetting])
def test_help_says_what_the_parts_of_an_option_do(cls):
    assert all(said_of(cls, field.name) for field in attrs.fields(cls))


def test_the_text_is_that_of_the_class_of_its_instances_and_of_pydoc():
    text = lms.GpuSetting.__doc__

    assert lms.GpuSetting().__doc__ == text
    assert "The share of the layers to put on GPUs" in pydoc.render_doc(lms.GpuSetting)


def test_without_the_source_the_rest_of_the_docstring_is_there(monkeypatch):
    def no_source(_module):
        raise OSError("could not get source code")

    monkeypatch.setattr(inspect, "getsource", no_source)

    assert lms.GpuSetting.__doc__.startswith("How a model is spread over GPUs.")


def test_a_program_that_strips_docstrings_can_use_the_options():
    code = "import lmstudio as l; print(l.LlmPredictionConfig(seed=1).seed, l.Client.__doc__)"
    command = [sys.executable, "-OO", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.stdout) == ("", "1 None\n")
