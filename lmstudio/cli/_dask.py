"""The Dask cluster that answers a batch: ``--dask SCHEDULER``."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from ._errors import NO_SERVER, CommandError

__all__ = ["dask_client"]

_CONNECT = 5  # seconds


@contextlib.contextmanager
def dask_client(scheduler: str) -> Iterator[Any]:
    """Connect to a cluster by the address of its scheduler, as long as the batch runs.

    Raises:
        CommandError: Dask is not installed, the address is none, or nobody answers there.
    """
    try:
        from distributed import Client, TimeoutError
        from distributed.comm.addressing import parse_address
        from distributed.comm.registry import get_backend
    except ImportError:
        raise CommandError(
            "--dask needs the package distributed.", "pip install 'dask[distributed]'"
        ) from None
    # Of what is wrong the batch itself tells.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    connect: Any = Client  # of which type checkers know nothing
    try:
        get_backend(parse_address(scheduler)[0])  # first: a client that was half made complains
        client = connect(scheduler, timeout=_CONNECT, set_as_default=False)
    except ValueError as error:
        raise CommandError(f"--dask {scheduler}: {error}") from None
    except (OSError, TimeoutError):  # the latter is another one in Python 3.10
        raise CommandError(
            f"No Dask scheduler answers at {scheduler}.",
            "Is the address right? --dask tcp://host:8786",
            code=NO_SERVER,
        ) from None
    with client:
        yield client
