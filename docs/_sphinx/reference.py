"""The reference: every public name with its docstring, under its public path.

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
from api.public_api import INNER_MEMBERS
from api.sources import set_by_constructor, statements
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.domains.python import PyTypeAlias, _parse_annotation
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer

NAPOLEON = Config(napoleon_use_rtype=False, napoleon_use_ivar=True)
# A name in code, as `Chat`, `lms.llm()` or `PredictionStream.cancel()`.
NAME = re.compile(r"(?:lms\.)?([A-Za-z_]+(?:\.[a-z_]+)?)(?:\(\))?")
# What napoleon does not know; it becomes a field among "Parameters", "Returns" and "Raises".
SECTIONS = re.compile(r"(Thread safety|Endpoint): *(.*)")


class Alias(PyTypeAlias):
    """A name for a type: what it stands for, and the text that stands below it.

    Sphinx's own option for the first takes it for a second name, up to Sphinx 8.1.
    """

    def run(self):
        self.domain, self.objtype = "py", "type"
        path = self.arguments[0]
        module, _, self.arguments[0] = path.rpartition(".")
        self.options["module"] = module
        self.content = StringList(written.comment(path).splitlines(), source=path)
        entry = super().run()
        for signature in entry[-1].findall(addnodes.desc_signature):
            equals = addnodes.desc_sig_punctuation("", "=")
            meaning = _parse_annotation(written.alias(path), self.env)
            space = addnodes.desc_sig_space()
            signature += [space, equals, space.deepcopy(), *meaning]
        return entry


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
            whole.attr_docs.update(_texts_of_attributes(part))
            whole.annotations.update(part.annotations)
            whole.tagorder.update({key: start + n for key, n in part.tagorder.items()})
        _order_inherited(name, whole)
        ModuleAnalyzer.cache["module", name] = whole


def _texts_of_attributes(part):
    """What is written below attributes and constants; dicts describe theirs themselves."""
    dicts = {cls.__name__ for cls in written.sources().classes if _is_typed_dict(cls)}
    return {
        (cls, name): text
        for (cls, name), text in part.attr_docs.items()
        if cls not in dicts and (cls or name in written.PUBLIC["lmstudio"])
    }


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


def stop_at_public_bases(app):
    """Let a class have an entry for each member of its private bases, and link to the others."""
    private = {c.__name__ for c in written.sources().classes if not written.public_path(c)}
    bases = {base for cls in written.sources().classes for base in cls.__mro__}
    names = {base.__name__ for base in bases if base.__name__ not in private}
    app.config.autodoc_default_options["inherited-members"] = ",".join(sorted(names))


def show_public_bases(app, name, obj, options, bases):
    """Leave private bases out; what they have is shown as the class's own."""
    bases[:] = [base for base in _public_bases(obj) if base is not object]


def _public_bases(cls):
    for base in cls.__bases__:
        if base in written.sources().classes and not written.public_path(base):
            yield from _public_bases(base)
        elif base not in (typing.Generic, typing.Protocol):
            yield base


def leave_out_inner_members(app, what, name, obj, skip, options):
    """Leave out what only the package's own code calls; for all else autodoc decides."""
    return True if INNER_MEMBERS.fullmatch(getattr(obj, "__qualname__", "")) else None


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
            text = vars(owner)["__init__"].__doc__
            if written.constructor(cls) and not attrs.has(owner) and text:
                said = inspect.cleandoc(text).splitlines()
                if issubclass(cls, Exception):  # nobody asks what making one does
                    said = said[1:]
                lines += ["", *said, ""]
            return


def _describe_attributes(cls, lines):
    """Make an entry of each name that stands under "Attributes:", with its type.

    One that is described below the attribute itself has its entry there.
    """
    made, types = [], _types(cls)
    documented = _described_in_place(cls)
    titles = ("Attributes:", "Args:") if attrs.has(cls) else ("Attributes:",)
    is_inside = is_elsewhere = False
    for line in lines:
        found = re.match(r" {4}(\w+): (.*)", line)
        if line in titles:
            is_inside, is_elsewhere = True, False
        elif line and not line.startswith(" "):
            is_inside = False
            made.append(line)
        elif is_inside and found:
            is_elsewhere = found[1] in documented
            if not is_elsewhere:
                made += ["", f".. attribute:: {found[1]}"]
                made += [f"   :type: {types[found[1]]}"] if found[1] in types else []
                made += ["", f"   {found[2]}"]
        elif not is_inside:
            made.append(line)
        elif not is_elsewhere:
            made.append(f"   {line.strip()}")
    lines[:] = [*made, *_entries_of_tags(cls, types, documented)]


def _entries_of_tags(cls, types, documented):
    """Entries of the constants that tell classes apart, such as ``role``, if nothing else does."""
    for name, type_ in types.items():
        value = vars(cls).get(name)
        if type_.startswith("ClassVar") and name not in documented and isinstance(value, str):
            yield from ("", f".. attribute:: {name}", f"   :type: {type_}", "")
            yield f"   Always ``{value}``."
            yield ""


def _described_in_place(cls):
    """The attributes that have an entry since a text stands below them, maybe in a base."""
    texts = ModuleAnalyzer.for_module(cls.__module__).attr_docs
    shown = [base for base in cls.__mro__ if base is cls or not written.public_path(base)]
    own = {name for base in shown for name in vars(base).get("__annotations__", ())}
    names = {base.__name__ for base in shown}
    ancestors = {base.__name__ for base in cls.__mro__}
    return {name for owner, name in texts if owner in names or (owner in ancestors and name in own)}


def _types(cls):
    """The types of attributes, as text."""
    found = {}
    for owner in reversed(cls.__mro__):
        if owner in written.sources().classes:
            node, module = written.sources().classes[owner]
            for each in [*statements(node.body), *set_by_constructor(node.body)]:
                if getattr(each, "annotation", None) is not None:
                    found[each.target.id] = written.annotation(each.annotation, module)
    return found


def _add_keys(cls, lines):
    """List the keys of a dict with types."""
    keys = written.keys(cls)
    # Of two spellings of one option the class beside it has more to say.
    twice = {name for name in keys if "_" in name and _in_camel_case(name) in keys}
    keys = {name: of for name, of in keys.items() if name not in twice}
    for title, is_required in (("Required keys", True), ("Optional keys", False)):
        group = {name: key for name, key in keys.items() if key.is_required == is_required}
        if group:
            lines += ["", f":{title}:"]
        for name, key in group.items():
            text = " ".join(key.text.split())
            lines.append(f"    * ``{name}`` (``{key.type}``){': ' if text else ''}{text}")
    lines.append("")


def _in_camel_case(name):
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def _add_key(path, lines):
    """Say the key by which LM Studio knows an option."""
    keys = written.option_keys(path)
    if keys:
        title = "Key" if len(keys) == 1 else "Keys"
        lines += ["", f"{title}: {', '.join(f'``{key}``' for key in keys)}", ""]


def _make_fields(lines):
    """Turn the sections that napoleon does not know into fields, at the end."""
    fields, rest, taken = [], [], None
    for line in lines:
        found = SECTIONS.fullmatch(line)
        if found:
            taken = [f":{found[1]}: {found[2][:1].upper()}{found[2][1:]}".rstrip()]
            fields.append(taken)
        elif taken is not None and (line.startswith("    ") or not line):
            taken.append(line)
        elif taken is not None and taken[-1] and not re.match(r"\w+:$", line):
            taken.append(f"    {line}")  # the sentence goes on
        else:
            taken = None
            rest.append(line)
    lines[:] = [*rest, "", *(line for field in fields for line in field), ""]


def lead_to_entries(app, doctree):
    """Let names in the text, and types in signatures, lead to the entries of the reference."""
    for node in list(doctree.findall(addnodes.pending_xref)):
        target = node.get("reftarget", "")
        name = target.rpartition(".")[2]
        if target.startswith("lmstudio._") and name in written.PUBLIC["lmstudio"]:
            node["reftarget"] = f"lmstudio.{name}"
        elif hasattr(builtins, target) or _is_type_variable(target):
            node.replace_self(nodes.Text(name))
    for node in list(doctree.findall(nodes.literal)):
        found = NAME.fullmatch(node.astext())
        is_link = isinstance(node.parent, nodes.reference | addnodes.pending_xref)
        if found and not is_link and found[1].partition(".")[0] in written.PUBLIC["lmstudio"]:
            link = addnodes.pending_xref(refdomain="py", reftype="obj", refexplicit=True)
            link["reftarget"] = f"lmstudio.{found[1]}"
            node.replace_self(link)
            link += node
    for node in list(doctree.findall(nodes.paragraph)):
        if node.astext() == "Bases:":  # there is no public one
            node.parent.remove(node)


def _is_type_variable(path):
    module, _, name = path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, typing.TypeVar) or module == "lmstudio._api.backports"


def setup(app):
    app.add_directive("alias", Alias)
    app.connect("builder-inited", read_all_sources)
    app.connect("builder-inited", stop_at_public_bases)
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("autodoc-process-signature", write_signature)
    app.connect("autodoc-skip-member", leave_out_inner_members)
    app.connect("autodoc-process-docstring", write_docstring)
    app.connect("doctree-read", lead_to_entries)
    return {"parallel_read_safe": True}
