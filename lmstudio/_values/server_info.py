"""What LM Studio tells of itself."""

import attrs

from .._api.public import public_module
from .._json.converter import LMStudioStruct


@attrs.frozen(kw_only=True, repr=False)
class ServerVersion(LMStudioStruct):
    """The version of LM Studio.

    Attributes:
        version: such as ``0.4.0``.
        build: the number of the build.

    Thread safety: immutable.
    """

    version: str
    build: int


@attrs.frozen(kw_only=True, repr=False)
class ServerInfo(LMStudioStruct):
    """What LM Studio runs as.

    Attributes:
        pid: its process, on its own machine.
        is_daemon: it runs without a window.
        version: its version, such as ``0.4.0``.

    Thread safety: immutable.
    """

    pid: int
    is_daemon: bool
    version: str


public_module(globals())
