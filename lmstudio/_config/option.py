"""How an option is declared: one field, with the keys that LM Studio knows it by."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

Off: TypeAlias = Literal[False]
PlainDict: TypeAlias = Mapping[str, Any]


def option(*keys: str, off: object = None, means_off: object = None, default: object = None) -> Any:
    """Declare an option.

    Args:
        keys: the keys it is written to, with the same value.
        off: it has a checkbox: a value is written as ``{"checked": true, "value": value}``, and
            False as unchecked with this value. A dict is itself what False is written as.
        means_off: a value that other programs use for "off", and that is read as False.
        default: what the server uses if the key is absent, as written on the wire.
    """
    metadata = {"keys": keys, "off": off, "means_off": means_off, "default": default}
    return attrs.field(default=None, metadata=metadata)


def gpu_option(**ratios: str) -> Any:
    """Declare the option ``gpu``, with the keys that its ratios are written to."""
    return attrs.field(default=None, metadata={"ratios": ratios})
