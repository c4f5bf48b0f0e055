"""The package as its source has it: signatures and aliases in the words of their authors.

At run time an alias is what it stands for, and a long one fills a screen wherever it is used. So
annotations are taken from the source, and private aliases alone are written out.
"""

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from functools import cache
from typing import NamedTuple

import attrs
from api.public_api import NOT_MADE_BY_USERS
from api.sources import Sources, statements

import lmstudio
import lmstudio.testing
from lmstudio._api import public_names
from lmstudio._config.option_docs import keys_of

PUBLIC = {
    "lmstudio": {*lmstudio.__all__, *public_names.HOME},
    "lmstudio.testing": set(lmstudio.testing.__all__),
}
MODULES = {"lmstudio": lmstudio, "lmstudio.testing": lmstudio.testing}
_MOST_FIELDS = 12  # of a class, in its signature; more are described one by one only


@cache
def sources():
    return Sources()


def value(path):
    """What a public path such as ``lmstudio.Chat`` names, and its module."""
    module, _, name = path.rpartition(".")
    return getattr(MODULES[module], name)


def public_path(cls):
    """The path under which the reference has a class, or None."""
    module, name = cls.__module__, cls.__name__
    return f"{module}.{name}" if name in PUBLIC.get(module, ()) else None


def public_name(module, name):
    """Whether a name that stands in a module of the package is a public one."""
    is_testing = module.startswith("lmstudio.testing")
    return name in PUBLIC["lmstudio.testing" if is_testing else "lmstudio"]


def is_alias(path):
    """Whether a name stands for something that has a name of its own, or for a type."""
    found = value(path)
    if isinstance(found, type) or inspect.isroutine(found):
        return getattr(found, "__name__", "") != path.rpartition(".")[2]
    return True


def alias(path):
    """What an alias stands for, as text."""
    module, _, name = path.rpartition(".")
    home = public_names.HOME.get(name)
    found = value(path)
    if isinstance(found, type) and found.__module__ in MODULES and found.__name__ != name:
        return found.__name__
    node, where = sources().definition(f"{module}.{home}" if home else module, name)
    return annotation(node.value, where)


def comment(path):
    """The text below an alias: a string that stands after its definition."""
    name = path.rpartition(".")[2]
    node, where = sources().definition(f"lmstudio.{public_names.HOME[name]}", name)
    return _texts_below(sources().trees[where].body).get(node, "")


def _texts_below(body):
    """The strings that stand below definitions, by the definition."""
    body = list(statements(body))
    return {
        node: inspect.cleandoc(after.value.value)
        for node, after in itertools.pairwise(body)
        if isinstance(after, ast.Expr) and isinstance(getattr(after.value, "value", None), str)
    }


class _WrittenOut(ast.NodeTransformer):
    """Private aliases become what they stand for, and ``lmstudio.Chat`` becomes ``Chat``."""

    def __init__(self, module):
        self.module = module

    def visit_Name(self, node):
        if public_name(self.module, node.id):
            return node
        try:
            found, home = sources().definition(self.module, node.id)
        except LookupError:
            return node
        is_typevar = isinstance(getattr(found, "value", None), ast.Call)
        if isinstance(found, ast.Assign | ast.AnnAssign) and not is_typevar:
            return _WrittenOut(home).visit(_parsed(found.value))
        return node

    def visit_Attribute(self, node):
        if isinstance(node.value, ast.Name) and node.value.id == "lmstudio":
            return ast.Name(node.attr)
        return self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, str) and re.fullmatch(r"[A-Z]\w*(\[.*\])?", node.value):
            return self.visit(_parsed(node))  # a class that is defined further below
        return node

    def visit_Subscript(self, node):
        if ast.unparse(node.value).endswith("Literal"):
            return node
        return self.generic_visit(node)


def _parsed(node):
    """An annotation that may be written as a string; a copy, to be changed."""
    text = node.value if isinstance(node, ast.Constant) else ast.unparse(node)
    return ast.parse(text, mode="eval").body if isinstance(text, str) else node


def annotation(node, module):
    """An annotation of a module, as text."""
    return ast.unparse(_WrittenOut(module).visit(_parsed(node)))


def signature(function):
    """The parameters of a function and what it returns, as two texts."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    module = function.__code__ and inspect.getmodule(function.__code__).__name__
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if positional and positional[0].arg in ("self", "cls", "mcs"):
        (arguments.posonlyargs or arguments.args).pop(0)
    _show_constants(arguments, inspect.signature(function))
    for each in [*positional, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if each is not None and each.annotation is not None:
            each.annotation = ast.Name(annotation(each.annotation, module))
    result = "" if node.returns is None else annotation(node.returns, module)
    return f"({ast.unparse(arguments)})", result


def _show_constants(arguments, known):
    """Write private constants that are defaults as the numbers that they are."""
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    for defaults, names in (
        (arguments.defaults, with_default),
        (arguments.kw_defaults, arguments.kwonlyargs),
    ):
        for place, (default, name) in enumerate(zip(defaults, names, strict=True)):
            if isinstance(default, ast.Name) and not public_name("lmstudio", default.id):
                defaults[place] = ast.Constant(known.parameters[name.arg].default)


def constructor(cls):
    """The parameters with which users make an object of a class; "" if they do not."""
    if cls.__name__ in NOT_MADE_BY_USERS or getattr(cls, "_is_protocol", False):
        return ""
    if cls.__name__.endswith("Namespace"):  # a client has them
        return ""
    if attrs.has(cls) and "__init__" in vars(cls):
        fields = [field for field in attrs.fields(cls) if field.init]
        if len(fields) > _MOST_FIELDS:
            return ""
        parts = [_field(field) for field in fields if not field.kw_only]
        keywords = [_field(field) for field in fields if field.kw_only]
        return f"({', '.join([*parts, *(['*', *keywords] if keywords else [])])})"
    if dataclasses.is_dataclass(cls):
        fields = inspect.signature(cls).parameters.values()
        return str(inspect.Signature([each.replace(annotation=each.empty) for each in fields]))
    for owner in cls.__mro__:
        if "__init__" in vars(owner) and owner in sources().classes:
            return signature(owner.__init__)[0]
    return ""


def _field(field):
    if field.default is attrs.NOTHING:
        return field.alias
    if isinstance(field.default, attrs.Factory):
        return f"{field.alias}=..."
    return f"{field.alias}={field.default!r}"


class Key(NamedTuple):
    """A key of a dict with types."""

    type: str
    is_required: bool
    text: str


def keys(cls):
    """The keys of a dict with types, by name."""
    found = {}
    for owner in [*reversed(sources().bases(cls)), cls]:
        node, module = sources().classes[owner]
        is_total = not any(each.arg == "total" and not each.value.value for each in node.keywords)
        texts = _texts_below(node.body)
        for each in statements(node.body):
            if isinstance(each, ast.AnnAssign):
                type_text = annotation(each.annotation, module)
                found[each.target.id] = Key(type_text, is_total, texts.get(each, ""))
    return found


def option_keys(path):
    """The keys by which LM Studio knows an option, such as ``lmstudio.GpuSetting.ratio``."""
    owner, _, name = path.rpartition(".")
    cls = getattr(lmstudio, owner.rpartition(".")[2], None)
    field = getattr(attrs.fields(cls), name, None) if attrs.has(cls) else None
    return [] if field is None else keys_of(field)
