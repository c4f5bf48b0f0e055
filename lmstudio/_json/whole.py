"""Makes the texts in JSON data whole, so that they can be encoded."""

from __future__ import annotations

from typing import Any


def whole(data: Any) -> Any:
    r"""Return JSON data in whose texts each half of a character that stands alone is U+FFFD.

    JSON can write such a half, as ``"\ud83d"``, and Python reads it.
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
    return data
