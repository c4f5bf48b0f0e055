"""The chat application of the examples in Qt, offscreen, with a server and its windows."""

import importlib.util
import sys

import pytest
from desktop.full_chat.chat_window import EXAMPLE, MODELS
from desktop.gui import qt_application, turn_until

import lmstudio as lms
from lmstudio.testing import Server


@pytest.fixture(scope="module")
def example():
    application = qt_application()
    sys.path.insert(0, str(EXAMPLE.parent))  # as Python does for a program
    spec = importlib.util.spec_from_file_location("full_chat", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(EXAMPLE.parent))
    module.application = application
    return module


@pytest.fixture
def turn(example):
    return example.application.processEvents


@pytest.fixture
def server(request):
    with Server(models=MODELS, loaded=getattr(request, "param", ["small"])) as server:
        yield server


@pytest.fixture
def open_window(example, turn, tmp_path):
    """Opens windows, and closes them at the end."""
    opened = []

    def open_window(server, wait=lambda window: window.model is not None):
        client = lms.Client(server.host)
        window = example.ChatWindow(client, tmp_path)
        opened.append((window, client))
        window.show()
        turn_until(turn, lambda: wait(window))
        return window

    yield open_window
    for window, client in opened:
        window.close()
        window.deleteLater()
        client.close()
    turn()


@pytest.fixture
def window(open_window, server):
    return open_window(server)


class ChosenImage(bytes):
    """Its content; `path` is its file."""

    def __new__(cls, path):
        image = super().__new__(cls, path.read_bytes())
        image.path = path
        return image


@pytest.fixture
def chosen_image(example, monkeypatch, tmp_path):
    from PIL import Image

    path = tmp_path / "a picture.png"
    Image.new("RGB", (64, 40), "orange").save(path)
    dialog = example.qt.QFileDialog
    monkeypatch.setattr(dialog, "getOpenFileNames", lambda **_: ([str(path)], ""))
    return ChosenImage(path)


@pytest.fixture
def secret(tmp_path, monkeypatch):
    """An image of the person's that no chat may show."""
    from PIL import Image

    path = tmp_path / "secret.png"
    Image.new("RGB", (300, 100), "magenta").save(path)
    monkeypatch.chdir(tmp_path)
    return path.as_posix()
