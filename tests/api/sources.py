"""The files of the package, read and imported: where a name is defined, and as what."""

import ast
import importlib
import pkgutil
import sys
from pathlib import Path

import lmstudio

PACKAGE = Path(lmstudio.__file__).parent


class Sources:
    """Every module of the package: its syntax tree, and the classes that stand in it."""

    def __init__(self):
        self.trees = {}  # by the name of the module
        self.classes = {}  # by the class: its node, and the name of its module
        found = pkgutil.walk_packages([str(PACKAGE)], "lmstudio.")
        for name in ["lmstudio", *(each.name for each in found)]:
            if name.endswith("__main__") or name.startswith("lmstudio.cli."):
                continue  # programs: what they offer are options
            module = importlib.import_module(name)
            tree = self.trees[name] = ast.parse(Path(module.__file__).read_bytes())
            for node in statements(tree.body):
                value = vars(module).get(getattr(node, "name", ""))
                if isinstance(node, ast.ClassDef) and isinstance(value, type):
                    self.classes.setdefault(value, (node, name))  # for newer Pythons comes first

    def definition(self, module, name):
        """The statement that defines a name of a module, and the module where it stands."""
        for node in statements(self.trees.get(module, ast.Module([], [])).body):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self.definition(self._absolute(module, node), alias.name)
            elif name in names_set_by(node):
                return node, module
        raise LookupError(f"{name} of {module} is not of this package")

    def class_of(self, module, name):
        """The class that a name of a module means, or None."""
        try:
            node, home = self.definition(module, name)
        except LookupError:
            return None
        value = vars(sys.modules[home]).get(name) if isinstance(node, ast.ClassDef) else None
        return value if isinstance(value, type) and value in self.classes else None

    def bases(self, cls):
        """The bases of this package as they are written: at run time a typed dict has but dict."""
        node, module = self.classes[cls]
        names = [ast.unparse(base).partition("[")[0] for base in node.bases]
        return [base for name in names if (base := self.class_of(module, name)) is not None]

    @staticmethod
    def _absolute(module, node):
        """The module that is meant by ``from ..x import y``."""
        parts = module.split(".")
        if Path(sys.modules[module].__file__).stem != "__init__":
            parts.pop()
        start = parts[: len(parts) - node.level + 1] if node.level else []
        return ".".join([*start, *filter(None, [node.module])])


def statements(body):
    """The statements of a module or a class, with those for type checkers only."""
    for node in body:
        if isinstance(node, ast.If):
            yield from statements([*node.body, *node.orelse])
        else:
            yield node


def names_set_by(node):
    """The names that a statement defines."""
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    return [node.name] if hasattr(node, "name") else []


def set_by_constructor(body):
    """``self.x = ...`` in ``__init__``, as if it stood in the class."""
    for function in body:
        if getattr(function, "name", "") != "__init__":
            continue
        types = {argument.arg: argument.annotation for argument in all_arguments(function.args)}
        for node in ast.walk(function):
            if isinstance(node, ast.AnnAssign):
                target, annotation = node.target, node.annotation
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                target = node.targets[0]
                annotation = types.get(node.value.id) if isinstance(node.value, ast.Name) else None
            else:
                continue
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                yield ast.AnnAssign(ast.Name(target.attr), annotation, None, 1)


def all_arguments(arguments):
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def decorators(node):
    """The names of the decorators of a function or class."""
    return {
        ast.unparse(decorator).partition("(")[0].rpartition(".")[2]
        for decorator in node.decorator_list
    }


def typed(node):
    """An annotation as text; it is the same on every Python."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    return "" if node is None else ast.unparse(node)
