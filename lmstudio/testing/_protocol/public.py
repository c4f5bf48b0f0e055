"""Marks the classes that users import from `lmstudio.testing`."""

from __future__ import annotations

import inspect
from typing import TypeVar

Class = TypeVar("Class", bound="type[object]")


def public(cls: Class) -> Class:
    """Let a class say its public path, so that its repr, its pickles and its docs name that.

    Stands below the decorator of attrs, which then sees types instead of texts.
    """
    # Now, because later they would be looked up in the module that the class claims to be from.
    cls.__annotations__ = inspect.get_annotations(cls, eval_str=True)
    cls.__module__ = "lmstudio.testing"
    return cls
