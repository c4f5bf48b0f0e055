"""What is written below each option, as `help()` of its class shows it: Python itself drops it."""

import ast
import inspect
import itertools
import sys
import textwrap
from typing import Any, TypeVar

import attrs

C = TypeVar("C", bound=type)


def explained(cls: C) -> C:
    """Let the docstring of a class of options list its options, each with its key."""
    doc = _OptionsDoc(cls, cls.__doc__ or "", cls.__module__)
    cls.__doc__ = doc  # type: ignore[assignment]
    return cls


def docs_below(module: str, class_name: str) -> dict[str, str]:
    """Return what is written below each attribute of a class, by name.

    Raises:
        OSError, TypeError: The source is not there, as in some packed programs.
    """
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    body = next((node.body for node in classes if node.name == class_name), [])
    found = {}
    for node, below in itertools.pairwise(body):
        match node, below:
            case (
                ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]),
                ast.Expr(value=ast.Constant(str(text))),
            ):
                found[name] = inspect.cleandoc(text)
    return found


def keys_of(field: Any) -> list[str]:
    """Return the keys by which LM Studio knows an option; none for a part of another option."""
    ratios = field.metadata.get("ratios")
    if ratios is not None:
        return [*ratios.values(), "load.gpuSplitConfig"]
    return list(field.metadata.get("keys", ()))


class _OptionsDoc:
    """A docstring that is put together when somebody reads it."""

    def __init__(self, cls: Any, text: str, module: str) -> None:
        self._cls = cls
        self._text = text
        self._module = module

    def __get__(self, _instance: object, _owner: object = None) -> str:
        try:
            docs = docs_below(self._module, self._cls.__name__)
        except (OSError, TypeError, SyntaxError):  # no source, as in some packed programs
            return self._text
        rows = [_row(field, docs.get(field.name, "")) for field in attrs.fields(self._cls)]
        attributes = textwrap.indent("\n".join(rows), "    ")
        return f"{inspect.cleandoc(self._text)}\n\nAttributes:\n{attributes}\n"


def _row(field: Any, text: str) -> str:
    keys = keys_of(field)
    if keys:
        text += f" {'Key' if len(keys) == 1 else 'Keys'}: {', '.join(f'``{k}``' for k in keys)}."
    text = " ".join(text.split())
    return textwrap.fill(
        f"{field.name}: {text}",
        88,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
