"""Asks the HTTP side of the llama.cpp server that runs in this process."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

_LIMIT = 30.0


def post(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post JSON and return the JSON of the answer.

    Raises:
        RuntimeError: The answer is an error.
        OSError: There is no answer in 30 s.
    """
    target = urlsplit(address)
    assert target.hostname is not None
    # Not urllib: its proxy settings capture loopback addresses too.
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=_LIMIT)
    try:
        connection.request(
            "POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if "error" in answer:
        raise RuntimeError(str(answer["error"].get("message", answer["error"])))
    return answer
