"""Every public name is explained where it is written, so that help, editors and pages can tell.

Classes, functions, methods and properties have docstrings. Attributes stand under "Attributes:" or
"Args:" in those of their class, or of one that it is made of, or have a text below them; so have
the keys of dicts, and aliases.
"""

import ast
import inspect
import re

import pytest
from api.public_api import FUNCTIONS, TESTING, PublicApi
from api.sources import all_arguments, decorators, statements

import lmstudio
import lmstudio.testing
from lmstudio._api import public_names
from lmstudio._config.option_docs import docs_below

API = PublicApi()
CLASSES = {path: cls for cls, path in API.described.items()}
ALIASES = [
    (home, name)
    for name, module in public_names.HOME.items()
    if isinstance(
        API.sources.definition(home := f"lmstudio.{module}", name)[0], ast.Assign | ast.AnnAssign
    )
]
# What the names of these say is all that there is to say.
NEEDS_NO_WORDS = re.compile(r"__\w+__|role|type")


def said_in_sections(cls):
    """The names that the docstrings of a class, of its bases and their constructors list."""
    ours = [base for base in cls.__mro__ if base in API.sources.classes]
    docs = [doc for base in ours for doc in (base.__doc__, base.__init__.__doc__) if doc]
    sections = [
        re.split(r"(?m)^(?=\S)", section)[0]
        for doc in docs
        for section in re.split(r"(?m)^(?:Attributes|Args(?: \(.*\))?):\n", inspect.cleandoc(doc))[
            1:
        ]
    ]
    found = [re.findall(r"(?m)^    (\w+(?:, \w+)*):", section) for section in sections]
    return {name for names in found for each in names for name in each.split(", ")}


def said_below(cls):
    """The names in a class and its bases that have a text below."""
    bases = [cls, *API.sources.bases(cls), *cls.__mro__]
    written = [API.sources.classes[base] for base in bases if base in API.sources.classes]
    return {name for node, module in written for name in docs_below(module, node.name)}


def is_data(node):
    return isinstance(node, ast.Assign | ast.AnnAssign)


def unexplained(cls):
    """The members of a class of which nothing is said."""
    if not ast.get_docstring(API.sources.classes[cls][0]):
        yield "the class"
    said = said_in_sections(cls) | said_below(cls)
    for name, (_owner, nodes) in API.members(cls).items():
        if NEEDS_NO_WORDS.fullmatch(name):
            continue
        if all(is_data(node) for node in nodes):
            if name not in said:
                yield name
        elif not any(isinstance(n, FUNCTIONS) and ast.get_docstring(n) for n in nodes):
            yield name


@pytest.mark.parametrize("path", CLASSES)
def test_a_public_class_and_all_that_it_has_is_explained(path):
    assert list(unexplained(CLASSES[path])) == []


@pytest.mark.parametrize(("module", "name"), ALIASES)
def test_a_public_alias_is_explained(module, name):
    node, home = API.sources.definition(module, name)
    body = list(statements(API.sources.trees[home].body))
    below = body[body.index(node) + 1]

    assert isinstance(below, ast.Expr) and ast.get_docstring(ast.Module([below], [])), home


def functions():
    """Every public function and method, with what its module is: its path, node and docstring."""
    for path, cls in CLASSES.items():
        for name, (_owner, nodes) in API.members(cls).items():
            yield from ((f"{path}.{name}", node) for node in nodes if isinstance(node, FUNCTIONS))


SENTINELS = [
    (path, argument.arg, ast.get_docstring(node))
    for path, node in functions()
    if "overload" not in decorators(node)
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    if isinstance(default, ast.Constant) and default.value is ...
]


@pytest.mark.parametrize(("path", "name", "doc"), SENTINELS)
def test_three_dots_as_a_default_are_explained(path, name, doc):
    entries = re.findall(rf"(?ms)^    (?:idle_)?{name}: .*?(?=^    \w|^\S|\Z)", doc)
    refers = re.search(r"[Ss]ee (there|`)|[Tt]he other arguments|as in `", doc)

    assert refers or any("``...``" in entry for entry in entries)


FUNCTIONS_BY_PATH = {
    path: home
    for path, home in [
        *((f"lmstudio.{name}", f"lmstudio.{home}") for name, home in public_names.HOME.items()),
        *((f"{TESTING}.{name}", TESTING) for name in lmstudio.testing.__all__),
    ]
    if isinstance(API.sources.definition(home, path.rpartition(".")[2])[0], FUNCTIONS)
}


@pytest.mark.parametrize(("path", "home"), list(FUNCTIONS_BY_PATH.items()))
def test_a_public_function_and_its_arguments_are_explained(path, home):
    name = path.rpartition(".")[2]
    doc = inspect.getdoc(getattr(lmstudio.testing if home == TESTING else lmstudio, name))
    node, _ = API.sources.definition(home, name)
    parameters = [argument.arg for argument in all_arguments(node.args)]
    refers = re.search(r"[Ss]ee\s+`", doc)

    assert doc
    assert refers or [one for one in parameters if not re.search(rf"\b{one}\b", doc)] == []
