"""Public classes say their public path, so that pickles and texts outlive a move of their file."""

from __future__ import annotations

from typing import Any


def public(*classes: type) -> None:
    """Let classes be those of the package itself: ``lmstudio.Chat``, whatever file has them.

    Their annotations must not be strings, which would be looked up in the package then.
    """
    for cls in classes:
        cls.__module__ = "lmstudio"


def public_module(names: dict[str, Any]) -> None:
    """Do so with the classes that a module defines for users; `names` is its ``globals()``."""
    here, classes = names["__name__"], [c for c in names.values() if isinstance(c, type)]
    public(*(c for c in classes if c.__module__ == here and not c.__name__.startswith("_")))
