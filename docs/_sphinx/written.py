"""The package as its source has it: signatures and aliases in the words of their authors.

At run time an alias is what it stands for, and a long one fills a screen wherever it is used. So
annotations are taken from the source, and private aliases alone are written out.
"""

import ast
import inspect
import re
import textwrap
from functools import cache

import attrs
from api.public_api import NOT_MADE_BY_USERS
from api.sources import Sources, decorators, set_by_constructor, statements

import lmstudio
import lmstudio.testing
from lmstudio._api import public_names

PUBLIC = {
    "lmstudio": {*lmstudio.__all__, *public_names.HOME},
    "lmstudio.testing": set(lmstudio.testing.__all__),
}
MODULES = {"lmstudio": lmstudio, "lmstudio.testing": lmstudio.testing}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
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
    home = f"lmstudio.{public_names.HOME[name]}"
    _, where = sources().definition(home, name)
    body = list(statements(sources().trees[where].body))
    for node, after in zip(body, body[1:], strict=False):
        target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
        if getattr(target, "id", "") == name and isinstance(after, ast.Expr):
            text = getattr(after.value, "value", None)
            return inspect.cleandoc(text) if isinstance(text, str) else ""
    return ""


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
    for each in [*positional, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if each is not None and each.annotation is not None:
            each.annotation = ast.Name(annotation(each.annotation, module))
    result = "" if node.returns is None else annotation(node.returns, module)
    return f"({ast.unparse(arguments)})", result


def constructor(cls):
    """The parameters with which users make an object of a class; "" if they do not."""
    if cls.__name__ in NOT_MADE_BY_USERS or getattr(cls, "_is_protocol", False):
        return ""
    if attrs.has(cls) and "__init__" in vars(cls):
        fields = [field for field in attrs.fields(cls) if field.init]
        if len(fields) > _MOST_FIELDS:
            return ""
        parts = [_field(field) for field in fields if not field.kw_only]
        keywords = [_field(field) for field in fields if field.kw_only]
        return f"({', '.join([*parts, *(['*', *keywords] if keywords else [])])})"
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


def keys(cls):
    """The keys of a dict with types: by name, the type as text and whether it must be there."""
    found = {}
    for owner in [*reversed(sources().bases(cls)), cls]:
        node, module = sources().classes[owner]
        total = not any(k.arg == "total" and not k.value.value for k in node.keywords)
        for each in statements(node.body):
            if isinstance(each, ast.AnnAssign):
                found[each.target.id] = annotation(each.annotation, module), total
    return found
