"""The reference: every public name out of its docstring, under its public path.

    .. autoclass:: lmstudio.Chat         autodoc's own, with what the hooks below add
    .. autofunction:: lmstudio.llm
    .. alias:: lmstudio.AnyChatMessage   a name for a type, and what it stands for
"""

import builtins
import inspect
import re
import sys
import typing

import attrs
import written
from api.sources import decorators, set_by_constructor, statements
from docutils import nodes
from sphinx import addnodes
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

NAPOLEON = Config(napoleon_use_rtype=False, napoleon_use_ivar=True)
# What napoleon does not know; it becomes a field among "Parameters", "Returns" and "Raises".
SECTIONS = re.compile(r"(Thread safety|Endpoint): *(.*)")


class Alias(SphinxDirective):
    """A name for a type: what it stands for, and the text that stands below it."""

    required_arguments = 1
    has_content = True

    def run(self):
        path = self.arguments[0]
        module, _, name = path.rpartition(".")
        lines = [f".. py:type:: {name}", f"   :module: {module}"]
        lines += [f"   :canonical: {written.alias(path)}", ""]
        text = written.comment(path).splitlines()
        lines += [f"   {line}".rstrip() for line in [*text, "", *self.content]]
        return self.parse_text_to_nodes("\n".join(lines))


def read_all_sources(app):
    """Let autodoc find what is written in private files: classes say that they are the package's.

    It looks for docstrings of attributes in the file of the module that a class names.
    """
    for name, module in written.MODULES.items():
        whole = ModuleAnalyzer.for_string("", name, module.__file__)
        whole.analyze()
        for home in written.sources().trees:
            part = ModuleAnalyzer.for_module(home) if home not in written.MODULES else whole
            if part is whole or home.startswith("lmstudio.testing.") != (name != "lmstudio"):
                continue
            part.analyze()
            start = len(whole.tagorder)
            whole.attr_docs.update({key: t for key, t in part.attr_docs.items() if key[0]})
            whole.annotations.update(part.annotations)
            whole.tagorder.update({key: start + n for key, n in part.tagorder.items()})
        _order_inherited(name, whole)
        ModuleAnalyzer.cache["module", name] = whole


def _order_inherited(module, whole):
    """Let inherited members stand in the order of their own class, after those of the class."""
    order = dict(whole.tagorder)
    for cls in written.sources().classes:
        if cls.__module__ == module:
            for base in cls.__mro__[1:]:
                for name in vars(base):
                    place = order.get(f"{base.__name__}.{name}")
                    if place is not None:
                        whole.tagorder.setdefault(f"{cls.__name__}.{name}", len(order) + place)


def show_public_bases(app, name, obj, options, bases):
    """Leave private bases out; what they have is shown as the class's own."""
    bases[:] = [base for base in _public_bases(obj) if base is not object]


def _public_bases(cls):
    for base in cls.__bases__:
        if base in written.sources().classes and not written.public_path(base):
            yield from _public_bases(base)
        elif base not in (typing.Generic, typing.Protocol):
            yield base


def write_signature(app, what, name, obj, options, args, returns):
    """Give signatures as the source has them."""
    if what in ("class", "exception"):
        return None if args is None else (written.constructor(obj), "")
    if what in ("function", "method"):
        parameters, result = written.signature(obj)
        return parameters, "" if result == "None" else result
    return None


def write_docstring(app, what, name, obj, options, lines):
    """Make of a docstring what Sphinx reads: its sections become fields and entries."""
    if what in ("class", "exception"):
        _add_constructor(obj, lines)
        _describe_attributes(obj, lines)
        if _is_typed_dict(obj):
            _add_keys(obj, lines)
    if what == "attribute":
        _add_key(name, lines)
    _make_fields(lines)
    # Of an attribute napoleon would take what stands before a colon for its type.
    kind = "method" if what in ("attribute", "data", "property") else what
    lines[:] = GoogleDocstring(lines, NAPOLEON, app, kind, name, obj, options).lines()


def _is_typed_dict(obj):
    return hasattr(obj, "__total__")


def _add_constructor(cls, lines):
    for owner in cls.__mro__:
        if "__init__" in vars(owner) and owner in written.sources().classes:
            text = inspect.getdoc(owner.__init__)
            if written.constructor(cls) and not attrs.has(owner) and text:
                lines += ["", *text.splitlines(), ""]
            return


def _describe_attributes(cls, lines):
    """Make an entry of each name that stands under "Attributes:"."""
    made, types, is_inside = [], _types(cls), False
    for line in lines:
        found = re.match(r" {4}(\w+): (.*)", line)
        if line == "Attributes:":
            is_inside = True
        elif line and not line.startswith(" "):
            is_inside = False
            made.append(line)
        elif is_inside and found:
            made += ["", f".. attribute:: {found[1]}"]
            made += [f"   :type: {types[found[1]]}"] if found[1] in types else []
            made += ["", f"   {found[2]}"]
        else:
            made.append(f"   {line.strip()}" if is_inside else line)
    lines[:] = made


def _types(cls):
    """The types of attributes, as text."""
    found = {}
    for owner in reversed(cls.__mro__):
        if owner in written.sources().classes:
            node, module = written.sources().classes[owner]
            for each in [*statements(node.body), *set_by_constructor(node.body)]:
                each_annotation = getattr(each, "annotation", None)
                if each_annotation is not None:
                    text = written.annotation(each_annotation, module)
                    found[each.target.id] = text
            for each in node.body:
                if isinstance(each, written.FUNCTIONS) and "property" in decorators(each):
                    if each.returns is not None:
                        found[each.name] = written.annotation(each.returns, module)
    return found


def _add_keys(cls, lines):
    """List the keys of a dict with types."""
    keys = written.keys(cls)
    has_two_spellings = any("_" in key for key in keys)
    if has_two_spellings:  # the class beside it describes them
        keys = {key: of for key, of in keys.items() if "_" not in key}
    required = {key: text for key, (text, is_required) in keys.items() if is_required}
    optional = {key: text for key, (text, is_required) in keys.items() if not is_required}
    for title, group in (("Required keys", required), ("Optional keys", optional)):
        if group:
            lines += ["", f":{title}:"]
            lines += [f"    * ``{key}``: ``{text}``" for key, text in group.items()]
    lines.append("")


def _add_key(name, lines):
    """Say the key by which LM Studio knows an option."""
    for key in option_keys(name):
        if not any(key in line for line in lines):
            lines += ["", f":Key: ``{key}``", ""]


def option_keys(path):
    """The keys that an option is written to, of a path such as ``lmstudio.GpuSetting.ratio``."""
    owner, _, name = path.rpartition(".")
    cls = getattr(written.lmstudio, owner.rpartition(".")[2], None)
    if not attrs.has(cls):
        return []
    field = getattr(attrs.fields(cls), name, None)
    metadata = {} if field is None else field.metadata
    return [*metadata.get("keys", ()), *metadata.get("ratios", {}).values()]


def _make_fields(lines):
    """Turn the sections that napoleon does not know into fields, at the end."""
    fields, rest, taken = [], [], None
    for line in lines:
        found = SECTIONS.fullmatch(line)
        if found:
            taken = [f":{found[1]}: {found[2]}".rstrip()]
            fields.append(taken)
        elif taken is not None and (line.startswith("    ") or not line):
            taken.append(line)
        elif taken is not None and taken[-1] and not re.match(r"\w+:$", line):
            taken.append(f"    {line}")  # the sentence goes on
        else:
            taken = None
            rest.append(line)
    lines[:] = [*rest, "", *(line for field in fields for line in field), ""]


def name_types(app, doctree):
    """Let types in signatures lead to their public paths; plain ones of Python to none."""
    for node in list(doctree.findall(addnodes.pending_xref)):
        target = node.get("reftarget", "")
        name = target.rpartition(".")[2]
        if target.startswith("lmstudio._") and name in written.PUBLIC["lmstudio"]:
            node["reftarget"] = f"lmstudio.{name}"
        elif hasattr(builtins, target) or _is_type_variable(target):
            node.replace_self(nodes.Text(name))


def _is_type_variable(path):
    module, _, name = path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, typing.TypeVar) or module == "lmstudio._api.backports"


def setup(app):
    app.add_directive("alias", Alias)
    app.connect("builder-inited", read_all_sources)
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("autodoc-process-signature", write_signature)
    app.connect("autodoc-process-docstring", write_docstring)
    app.connect("doctree-read", name_types)
    return {"parallel_read_safe": True}


