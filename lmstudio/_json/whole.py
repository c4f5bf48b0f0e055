"""Makes JSON data that a server sent whole, so that it can be encoded again."""

from __future__ import annotations

import math
from typing import Any


def whole(data: Any) -> Any:
    r"""Return JSON data in whose texts each half of a character that stands alone is U+FFFD.

    JSON can write such a half, as ``"\ud83d"``, and Python reads it. Numbers that JSON has no word
    for, which Python reads as well, become None: JavaScript writes ``null`` for them.
    """
    if isinstance(data, str):
        try:
            data.encode()
        except UnicodeEncodeError:
            return data.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return data
    if isinstance(data, list):
        return [whole(item) for item in data]
    if isinstance(data, dict):
        return {whole(key): whole(value) for key, value in data.items()}
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def error_details(data: Any) -> dict[str, Any]:
    """Return what a server says of an error as the fields of one, whatever it is."""
    if isinstance(data, dict):
        details: dict[str, Any] = whole(data)
        return details
    return {} if data is None else {"title": whole(str(data))}
