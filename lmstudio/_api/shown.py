"""Shows values in the texts of errors, cut if they are long: one may be a whole chat, or a file."""

from __future__ import annotations

_MOST = 300  # characters


def shown(value: object) -> str:
    """Return a value that was given, for the text of an error."""
    return shortened(repr(value))


def shortened(text: str, most: int = _MOST) -> str:
    """Return a text, cut after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"
