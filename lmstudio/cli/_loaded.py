"""Which of the loaded models goes by a name, as LM Studio itself tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["IDENTIFIER", "WHOLE", "find_loaded"]

IDENTIFIER, WHOLE = 3, 2  # how well a name fits; 1: it is the beginning of another name


def find_loaded(infos: Sequence[Any], name: str, at_least: int = 1) -> list[int]:
    """Return the places of those that a name fits best, and at least so well."""
    fits = [_fit(info, name) for info in infos]
    best = max([at_least, *fits])
    return [place for place, fit in enumerate(fits) if fit == best]


def _fit(info: Any, name: str) -> int:
    """Return how well it fits, whether capital letters are right or not; 0: not at all."""
    if name == info.identifier:
        return IDENTIFIER + 1
    wanted, path, key = name.lower(), info.path.lower(), info.model_key.lower()
    if wanted == info.identifier.lower():
        return IDENTIFIER
    if wanted in _both(info, [info.model_key, info.selected_variant or key]) or wanted == path:
        return WHOLE
    if wanted in _both(info, info.variants or ()):
        return 0  # another variant is loaded
    # A publisher alone is no model: the beginning of a path has at least one "/".
    begins_path = "/" in wanted and path.startswith(wanted)
    if begins_path and path[len(wanted)] == "/":
        return WHOLE
    return int(begins_path or key.startswith(f"{wanted}@"))


def _both(info: Any, names: Sequence[str]) -> list[str]:
    """Return names with and without the publisher."""
    return [whole.lower() for name in names for whole in (name, f"{info.publisher}/{name}")]
