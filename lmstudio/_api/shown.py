"""Shows values in the texts of errors, cut if they are long: one may be a whole chat, or a file.

A value of a user's whose `repr()` or `str()` raises must not replace the error that it stands in.
"""

from __future__ import annotations

_MOST = 300  # characters


def shown(value: object) -> str:
    """Return a value that was given, for the text of an error."""
    try:
        return shortened(repr(value))
    except Exception as error:
        return f"<{type(value).__name__}, whose repr() raised {type(error).__name__}>"


def worded(value: object) -> str:
    """Return the words of a value, such as the reason of a cancel, for the text of an error."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose str() raised {type(error).__name__}>"


def shortened(text: str, most: int = _MOST) -> str:
    """Return a text, cut after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"
