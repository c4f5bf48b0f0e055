"""The public API as lines of text: one for each name, method, parameter, field and option.

What there is, the objects tell: bases, fields, defaults. How its types are written, the source
tells, which is the same on every Python. Inherited methods belong to each class that has them;
private names and parameters do not.
"""

import argparse
import ast
import dataclasses
import importlib
import inspect
import re
import sys
from collections import defaultdict

import attrs
from api.sources import (
    PACKAGE,
    Sources,
    all_arguments,
    decorators,
    names_set_by,
    set_by_constructor,
    statements,
    typed,
)

import lmstudio
import lmstudio.testing
from lmstudio._api import public_names

TESTING = "lmstudio.testing"
# The package makes these: how, is its own business.
NOT_MADE_BY_USERS = {
    *("BackgroundCall", "Batch", "DownloadedEmbeddingModel", "DownloadedLlm", "EmbeddingModel"),
    *("GuardToolCallController", "LLM", "PredictionStream", "SyncModelHandle", "ToolCallContext"),
    *("AvailableModel", "DownloadedModel", "ModelDownloadOption", "LogStream", "ConnectionWatch"),
    *("PluginTools", "Call", "Connection", "Prediction", "ToolRun"),
}
NOT_MADE_BY_USERS |= {"CancelAnswer", *(f"Async{name}" for name in NOT_MADE_BY_USERS)}
NOT_MADE_BY_USERS |= {"AsyncModelHandle"}
# Members that the package's own code uses. Programs have no use for them: the reference has none.
INNER_MEMBERS = re.compile(
    r"(Connection|Prediction|ToolRun)\.note(_\w+)?"
    r"|Connection\.(abort|after|drain|ended|identify|post|read|wait_room|write_all)"
    r"|Call\.(arrived|client_gone|is_of)|Prediction\.needs_prompt|ToolRun\.(on_end|send)"
)
# Of the names with two underscores, those that nobody calls, not even by a statement.
INNER = re.compile(
    "__(init|new|init_subclass|class_getitem|del|reduce|reduce_ex|deepcopy|getstate|setstate|getattr"
    "|getattribute|dir|slots|attrs_.*|subclasshook|instancecheck|set_name|module|doc|repr)__"
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def describe():
    """The whole API: by the path of each name, what is to be said of it, one line each."""
    return {path: sorted(texts) for path, texts in sorted(PublicApi().lines.items())}


class PublicApi:
    """Walks from the public names to all that can be reached from them; `lines` is the result."""

    def __init__(self):
        self.lines = defaultdict(list)  # by the path of a name
        self.sources = Sources()
        self.described = {}  # by the class: its path
        self._named = []  # in annotations: the module where, and the name
        self._names_of_modules()
        self._types_that_are_named()
        for module in ("lmstudio", TESTING):
            parser = importlib.import_module(f"{module}.__main__").make_parser()
            self._command(f"python -m {module}", parser)
        self._fixtures()

    def _add(self, path, text, module=None, *types):
        """Say something of a path; what the types in it are, is to be said too."""
        if text not in self.lines[path]:
            self.lines[path].append(text)
        for type in types:
            self._named += [(module, name) for name in re.findall(r"(?<![\w.'\"])[A-Z]\w*", type)]

    def _names_of_modules(self):
        # Names that `lmstudio` has and does not list are named by pickles.
        homes = {name: f"lmstudio.{home}" for name, home in public_names.HOME.items()}
        homes |= dict.fromkeys(lmstudio.__all__, "lmstudio")
        self._add("lmstudio", "module")
        # A class has its own name first, and is another name's value second.
        is_alias = {
            name: getattr(getattr(lmstudio, name), "__name__", "") != name for name in homes
        }
        for name in sorted(homes, key=is_alias.get):
            self._name(f"lmstudio.{name}", homes[name], name)
        self._add(TESTING, "module")
        for name in sorted(lmstudio.testing.__all__):
            self._name(f"{TESTING}.{name}", TESTING, name)
        # Modules that the official package has, and that programs import names from.
        for file in sorted(PACKAGE.glob("*.py")):
            if not file.stem.startswith("_") or file.stem == "_sdk_models":
                self._module(f"lmstudio.{file.stem}")

    def _module(self, module):
        self._add(module, "module")
        for name in sorted(importlib.import_module(module).__all__):
            value = getattr(sys.modules[module], name)
            if name in self._public_names() and value is getattr(lmstudio, name):
                self._add(f"{module}.{name}", f"= lmstudio.{name}")
            else:
                self._name(f"{module}.{name}", module, name)

    @staticmethod
    def _is_alias(name):
        return getattr(getattr(lmstudio, name), "__name__", None) != name

    @staticmethod
    def _public_names():
        return {*lmstudio.__all__, *public_names.HOME, *lmstudio.testing.__all__}

    def _name(self, path, module, name):
        value = getattr(sys.modules.get(module) or importlib.import_module(module), name)
        node, home = self.sources.definition(module, name)
        # An alias of a generic class is that class where an old Python has it not as a generic one.
        is_generic = isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Subscript)
        if isinstance(value, type) and value in self.sources.classes and not is_generic:
            if value in self.described:
                self._add(path, f"= {self.described[value]}")
            else:
                self._class(path, value)
            return
        if isinstance(node, FUNCTIONS):
            for each in statements(self.sources.trees[home].body):  # its overloads too
                if getattr(each, "name", None) == name:
                    self._function(path, each, inspect.unwrap(value), home)
        else:
            self._add(path, f"= {typed(node.value)}", home, typed(node.value))

    # Classes.

    def _class(self, path, cls, words="class"):
        self.described[cls] = path
        node, _ = self.sources.classes[cls]
        if self._is_typed_dict(cls):
            self._add(path, "typed dict")
            for name, (text, is_required, home) in self._keys(cls).items():
                must = "required" if is_required else "optional"
                self._add(f"{path}[{name}]", f"{must}, {text}", home, text)
            return
        ancestors = [base.__name__ for base in cls.__mro__[1:] if self._is_public_base(base)]
        if ancestors:
            words += ", is a " + ", ".join(ancestors)
        for base in map(ast.unparse, node.bases):
            if "[" in base or base == "Protocol":
                words += f", made of {base}"
        self._add(path, words)
        is_made_by_users = not cls.__name__.endswith("Namespace") and (
            cls.__name__ not in NOT_MADE_BY_USERS and "not exported" not in words
        )
        if is_made_by_users:
            self._constructor(path, cls)
        for name, (owner, nodes) in self.members(cls).items():
            home = self.sources.classes[owner][1]
            for each in nodes:
                self._member(f"{path}.{name}", name, each, cls, home)

    def _is_public_base(self, base):
        if base in (object, Exception, BaseException) or base.__module__ in ("typing", "abc"):
            return False
        return base not in self.sources.classes or base.__name__ in self._public_names()

    def members(self, cls):
        """What a class and its bases define: by name, as the nearest of them has it."""
        members = {}
        for owner in cls.__mro__:
            if owner not in self.sources.classes:
                continue
            here = defaultdict(list)
            body = self.sources.classes[owner][0].body
            for node in [*statements(body), *set_by_constructor(body)]:
                for name in names_set_by(node):
                    is_private = name.startswith("_") and not re.fullmatch(r"__\w+__", name)
                    # Overloads and setters have several statements, all else has one.
                    is_again = name in here and not isinstance(node, FUNCTIONS)
                    if not is_private and not INNER.fullmatch(name) and not is_again:
                        here[name].append(node)
            for name, nodes in here.items():
                members.setdefault(name, (owner, nodes))
        return members

    def _constructor(self, path, cls):
        for owner in cls.__mro__:
            if owner not in self.sources.classes:
                continue
            node, module = self.sources.classes[owner]
            found = [e for e in statements(node.body) if getattr(e, "name", "") == "__init__"]
            for each in found:
                if "overload" in decorators(each):
                    self._overload(path, each, module)
                else:
                    self._parameters(path, each, owner.__init__, module, 1)
            has_fields = attrs.has(owner) or dataclasses.is_dataclass(owner)
            if found or (has_fields and "__init__" in vars(owner)):
                return  # fields are parameters of themselves

    def _member(self, path, name, node, cls, module):
        if isinstance(node, ast.AnnAssign):
            self._add(path, self._field(name, node, cls), module, typed(node.annotation))
        elif isinstance(node, ast.Assign):
            is_plain = isinstance(node.value, ast.Name | ast.Constant)
            value = f" = {ast.unparse(node.value)}" if is_plain else ""
            self._add(path, f"attribute{value}")
        elif isinstance(node, FUNCTIONS):
            self._method(path, name, node, cls, module)

    @staticmethod
    def _field(name, node, cls):
        text = f", {typed(node.annotation)}" if node.annotation else ""
        field = getattr(attrs.fields(cls), name, None) if attrs.has(cls) else None
        if dataclasses.is_dataclass(cls):  # all of them by keyword
            return f"field, keyword{text}" + (f" = {ast.unparse(node.value)}" if node.value else "")
        if field is None:
            return f"attribute{text}" + (f" = {ast.unparse(node.value)}" if node.value else "")
        if not field.init:
            return f"field{text}"
        place = "keyword"
        if not field.kw_only:
            order = [each.name for each in attrs.fields(cls) if each.init and not each.kw_only]
            place = f"positional {order.index(name) + 1}"
        default = "" if field.default is attrs.NOTHING else f" = {shown(field.default, node.value)}"
        return f"field, {place}{text}{default}"

    def _method(self, path, name, node, cls, module):
        kinds = decorators(node)
        if kinds & {"property", "cached_property"}:
            text = typed(node.returns)
            namespace = self.sources.class_of(module, text)
            if namespace is not None and namespace.__name__.endswith("Namespace"):
                # Its methods have the path by which programs reach them.
                self._add(path, f"property, {text}")
                if namespace not in self.described:
                    self._class(path, namespace, f"class {text}")
            else:
                self._add(path, f"property, {text}", module, text)
        elif "setter" in kinds:
            self._add(path, "can be set")
        elif not kinds & {"default", "validator"}:  # of a field, for attrs
            member = inspect.getattr_static(cls, name)
            function = inspect.unwrap(getattr(member, "__func__", member))
            self._function(path, node, function, module, is_method=True)

    # Functions.

    def _function(self, path, node, function, module, is_method=False):
        kinds = decorators(node)
        if "overload" in kinds:
            self._overload(path, node, module)
            return
        words = ["async"] if isinstance(node, ast.AsyncFunctionDef) else []
        words += ["abstract"] if "abstractmethod" in kinds else []
        words += ["class"] if "classmethod" in kinds else []
        words += ["static"] if "staticmethod" in kinds else []
        words += ["method" if is_method else "function"]
        words += ["for with"] if "contextmanager" in kinds else []
        returns = typed(node.returns)
        self._add(path, f"{' '.join(words)} -> {returns}", module, returns)
        if not path.endswith("__"):  # how Python calls those is no news
            has_self = is_method and "staticmethod" not in kinds
            self._parameters(path, node, function, module, int(has_self))

    def _overload(self, path, node, module):
        types = [typed(argument.annotation) for argument in all_arguments(node.args)]
        text = f"overload ({ast.unparse(node.args)}) -> {typed(node.returns)}"
        self._add(path, text, module, *types, typed(node.returns))

    def _parameters(self, path, node, function, module, skipped):
        arguments, values = node.args, inspect.signature(function).parameters
        positional = [*arguments.posonlyargs, *arguments.args]
        required = len(positional) - len(arguments.defaults)
        rows = []
        for place, argument in enumerate(positional):
            kind = "positional only" if argument in arguments.posonlyargs else "positional"
            default = arguments.defaults[place - required] if place >= required else None
            rows.append((argument, f"{kind} {place + 1 - skipped}", default))
        del rows[:skipped]
        if arguments.vararg:
            rows.append((arguments.vararg, "*", None))
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            rows.append((argument, "keyword", default))
        for argument, kind, default in rows:
            if not argument.arg.startswith("_"):
                text = typed(argument.annotation)
                value = f" = {shown(values[argument.arg].default, default)}" if default else ""
                self._add(f"{path}({argument.arg})", f"{kind}, {text}{value}", module, text)
        if arguments.kwarg:
            self._keywords(path, arguments.kwarg, module)

    def _keywords(self, path, argument, module):
        """Keyword arguments; a typed dict may list them: ``**limits: Unpack[CallLimits]``."""
        text = typed(argument.annotation)
        listed = re.fullmatch(r"(?:\w+\.)?Unpack\[(\w+)\]", text)
        if listed is None:
            self._add(f"{path}({argument.arg})", f"**, {text}", module, text)
            return
        for name, (text, is_required, home) in self._keys(
            self.sources.class_of(module, listed[1])
        ).items():
            note = "" if is_required else ", optional"
            self._add(f"{path}({name})", f"keyword, {text}{note}", home, text)

    # Typed dicts.

    def _is_typed_dict(self, cls):
        node, _ = self.sources.classes[cls]
        names = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
        return "TypedDict" in names or any(map(self._is_typed_dict, self.sources.bases(cls)))

    def _keys(self, cls):
        """The keys of a typed dict: the type, whether it is required, and the module of that."""
        keys = {}
        for base in reversed(self.sources.bases(cls)):
            keys |= self._keys(base)
        node, module = self.sources.classes[cls]
        is_total = "total=False" not in [ast.unparse(keyword) for keyword in node.keywords]
        for each in statements(node.body):
            if isinstance(each, ast.AnnAssign):
                text, is_required = typed(each.annotation), is_total
                if match := re.fullmatch(r"(?:\w+\.)?((?:Not)?Required)\[(.*)\]", text):
                    text, is_required = match[2], match[1] == "Required"
                keys[each.target.id] = text, is_required, module
        return keys

    def _types_that_are_named(self):
        """Describe what annotations name, and what those name in turn, as ``type Name``."""
        done = set()
        while self._named:
            module, name = self._named.pop()
            if (module, name) in done:
                continue
            done.add((module, name))
            try:
                node, home = self.sources.definition(module, name)
            except LookupError:
                continue  # of Python itself, or of another package
            path = f"type testing.{name}" if home.startswith(TESTING) else f"type {name}"
            cls = self.sources.class_of(module, name)
            if cls is not None and cls not in self.described:
                self._class(path, cls, "class, not exported")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                is_variable = isinstance(node.value, ast.Call)  # TypeVar("T")
                if name not in self._public_names() and not is_variable:
                    self._add(path, f"= {typed(node.value)}", home, typed(node.value))

    # What is no module.

    def _command(self, path, parser):
        self._add(path, "program")
        place = 0
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            if isinstance(action, argparse._SubParsersAction):
                for name, program in action.choices.items():
                    self._command(f"{path} {name}", program)
                continue
            if action.option_strings:
                name, words = action.option_strings[-1], "option"
                words += " without a value" if action.nargs == 0 else ""
                words += ", required" if action.required else ""
            else:
                place += 1
                name, words = action.dest, f"positional {place}"
            words += f", as {action.nargs}" if action.nargs else ""
            words += f", one of {', '.join(map(str, action.choices))}" if action.choices else ""
            if action.default not in (None, argparse.SUPPRESS):
                words += f" = {shown(action.default)}"
            self._add(f"{path} {name}", words)

    def _fixtures(self):
        for node in self.sources.trees[f"{TESTING}.pytest_plugin"].body:
            if isinstance(node, ast.FunctionDef) and "fixture" in decorators(node):
                self._add(f"pytest fixture {node.name}", typed(node.returns))


def shown(value, node=None):
    """A default as text, the same in every run."""
    if value is ...:
        return "..."
    if isinstance(value, str | bytes | int | float | None) or value in ((), [], {}):
        return repr(value)
    if isinstance(value, attrs.Factory):
        return f"{getattr(value.factory, '__name__', '?')}()"
    return "?" if node is None else ast.unparse(node)
