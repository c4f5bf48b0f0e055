"""Uploads and downloads that stand still."""

import pytest
from handles.downloading import OPTION
from handles.uploading import BIG, SMALL, link_of
from helpers import Worker, eventually

from lmstudio._handles.repository import ModelDownloadOption


@pytest.fixture
def stalled(server, client):
    """Starts an upload, and returns when the server, which has stopped reading, takes no more."""
    client.prepare_image(SMALL)
    (connection,) = (c for c in server.connections if c.path == "/files")
    connection.pause()

    def start(**limits):
        worker = Worker(lambda: client.prepare_image(BIG, "big.png", **limits))

        def look():
            link = link_of(client)
            frames = link._sending and link._sending.message._frames
            return link.transport.wants_to_write and len(getattr(frames, "_made", ())) == 8

        eventually(look)
        return worker

    start.connection = connection
    yield start
    if connection.open:
        connection.resume()


@pytest.fixture
def found(client):
    """The one model that a search finds."""
    (model,) = client.repository.search_models("tiny")
    return model


@pytest.fixture
def option(client):
    """A way to download it."""
    return ModelDownloadOption(OPTION, client._session)


@pytest.fixture
def held_downloads(server):
    """The server, whose downloads the test answers."""
    server.hold("downloadModel")
    return server
