"""Which of several models go by a name, as LM Studio itself tells them apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import lmstudio as lms

__all__ = ["WHOLE", "fitting", "with_infos"]

WHOLE = 2  # how well a name fits; more: it is an identifier; 1: it is the beginning of a name


def with_infos(models: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Give each loaded model with what it is, without those that were unloaded meanwhile."""
    for model in models:
        try:
            info = model.get_info()
        except lms.LMStudioModelNotFoundError:
            continue
        yield model, info


def fitting(infos: Sequence[Any], name: str, at_least: int = 1) -> list[int]:
    """Return the places of the models that a name fits best, and at least so well."""
    fits = [_fit(info, name) for info in infos]
    best = max([at_least, *fits])
    return [place for place, fit in enumerate(fits) if fit == best]


def _fit(info: Any, name: str) -> int:
    """Return how well it fits, whether capital letters are right or not; 0: not at all."""
    identifier = getattr(info, "identifier", None)  # only what is loaded has one
    if identifier is not None and name.lower() == identifier.lower():
        return WHOLE + 2 if name == identifier else WHOLE + 1
    wanted, path, key = name.lower(), info.path.lower(), info.model_key.lower()
    if wanted == path or wanted in _with_publisher(info, [key]):
        return WHOLE
    if wanted in _with_publisher(info, info.variants or ()):
        is_it = wanted in _with_publisher(info, [info.selected_variant or ""])
        return WHOLE if is_it or identifier is None else 0  # loaded is another variant
    # A publisher alone is no model: the beginning of a path has at least one "/".
    begins_path = "/" in wanted and path.startswith(wanted)
    if begins_path and path[len(wanted)] == "/":
        return WHOLE
    return int(begins_path or key.startswith(f"{wanted}@"))


def _with_publisher(info: Any, names: Sequence[str]) -> list[str]:
    """Return names with and without the publisher."""
    return [whole.lower() for name in names for whole in (name, f"{info.publisher}/{name}")]
