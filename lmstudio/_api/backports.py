"""Names of `typing` that older Pythons lack, so that type hints can be read on each of them.

Type checkers have them from typing_extensions, which this package does not need when it runs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer as Buffer
    from typing_extensions import Self as Self
    from typing_extensions import TypeVar as TypeVar
    from typing_extensions import Unpack as Unpack
else:
    import types
    import typing

    if sys.version_info >= (3, 11):
        from typing import Self, Unpack
    else:
        Self = typing.TypeVar("Self")

        class Unpack:
            """Marks keyword arguments that are those of a TypedDict: ``Unpack[CallLimits]``."""

            __class_getitem__ = classmethod(types.GenericAlias)

    if sys.version_info >= (3, 12):
        from collections.abc import Buffer
    else:
        Buffer = bytes | bytearray | memoryview

    if sys.version_info >= (3, 13):
        from typing import TypeVar
    else:

        def TypeVar(name, *, default, **options):
            """Make a type variable; its default is for type checkers."""
            return typing.TypeVar(name, **options)
