"""The Dask cluster that answers a batch: ``--dask SCHEDULER``."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import lmstudio as lms

from ._input import FileError

__all__ = ["dask_client"]

_CONNECT = 5  # seconds


@contextlib.contextmanager
def dask_client(scheduler: str) -> Iterator[Any]:
    """Connect to a cluster by the address of its scheduler, as long as the batch runs.

    Raises:
        FileError: Dask is not installed, or the address is none.
        LMStudioWebsocketError: Nobody answers there.
    """
    try:
        from distributed import Client, TimeoutError
    except ImportError:
        raise FileError(
            "--dask needs the package distributed: pip install 'dask[distributed]'"
        ) from None
    # Of what is wrong the batch itself tells.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        connect: Any = Client  # of which type checkers know nothing
        client = connect(scheduler, timeout=_CONNECT, set_as_default=False)
    except (OSError, TimeoutError) as error:  # the latter is another one in Python 3.10
        raise lms.LMStudioWebsocketError(
            f"No Dask scheduler answers at {scheduler}: {error}"
        ) from None
    except ValueError as error:
        raise FileError(f"--dask {scheduler}: {error}") from None
    with client:
        yield client
