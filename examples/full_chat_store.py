"""The chats and images of full_chat.py: images are uploaded, and saved with their chats."""

import base64
import itertools
import json
import re
import time
from functools import partial
from pathlib import Path

from PySide6.QtCore import QBuffer
from PySide6.QtGui import QImageReader

import lmstudio as lms

FORMATS = ("png", "jpeg", "webp")


def data_url(image):
    """The URL of an image; an SVG, which may name files of this computer, is refused."""
    buffer = QBuffer()
    buffer.setData(image)
    kind = bytes(QImageReader(buffer).format()).decode()
    if kind not in FORMATS:
        raise ValueError("An image must be a PNG, JPEG or WebP file.")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


class ChatStore:
    """A folder of chats. LM Studio may forget an image with its connection; here it is kept."""

    def __init__(self, client, folder):
        self.client, self.folder = client, folder
        self.urls = {}  # of the images, by the identifiers of their files

    def url(self, file):
        return self.urls[file.identifier]

    def upload(self, data, **options):
        url = data_url(data)
        file = self.client.prepare_image(data, **options)
        self.urls[file.identifier] = url
        return file

    def upload_files(self, paths, **options):
        return [self.upload(Path(path).read_bytes(), **options) for path in paths]

    def paths(self):
        """The files, newest first."""
        return sorted(self.folder.glob("*.json"), reverse=True)

    def messages(self, chat):
        """A chat with its images."""
        return chat.to_openai(image_url=self.url)

    def restore(self, messages, cancel_event=None):
        """Make a chat of its messages, uploading its images."""
        upload = partial(self.upload, cancel_event=cancel_event)
        return lms.Chat.from_openai(messages, prepare_image=upload)

    def open(self, path, **options):
        return self.restore(json.loads(path.read_text("utf-8")), **options)

    def save(self, chat, path):
        """Save a chat, in a new file if it has none, and return the path."""
        path = path or self.new_path(chat)
        whole = path.with_suffix(".new")
        whole.write_text(json.dumps(self.messages(chat)), "utf-8")
        whole.replace(path)  # there is always the old file or the new one
        return path

    def new_path(self, chat):
        question = next(message.text for message in chat if message.role == "user")
        name = time.strftime("%Y-%m-%d %H.%M.%S ") + re.sub(r"[^\w ]", "", question)[:50]
        names = (f"{name} {number}" if number else name for number in itertools.count())
        paths = (self.folder / f"{name.strip()}.json" for name in names)
        return next(path for path in paths if not path.exists())
