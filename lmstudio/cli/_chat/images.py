"""The images of a conversation, on this machine and as the server has them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import lmstudio as lms

from .._errors import CommandError
from .conversation import Conversation

__all__ = ["Images", "image_suffix", "paths_in"]

_BEGINNINGS = {b"\x89PNG\r\n": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif"}


class Images:
    """Uploads each image once, and keeps its bytes in case that the server forgets it.

    A server keeps what was uploaded for a connection only as long as it likes.
    """

    def __init__(self, client: lms.Client) -> None:
        """Take the client that uploads."""
        self._client = client
        self._bytes: dict[str, bytes] = {}
        self._handles: dict[str, lms.FileHandle] = {}

    def forget_uploads(self) -> None:
        """Upload all again when they are needed."""
        self._handles.clear()

    def take(self, path: str) -> str:
        """Read an image and upload it, so that what is wrong with it is told at once.

        Returns:
            Its path, such as it can be found by later.

        Raises:
            CommandError: It cannot be read.
            LMStudioError: It cannot be uploaded.
        """
        absolute = os.path.abspath(os.path.expanduser(path))
        self._read(absolute)
        self.handle(absolute)
        return absolute

    def take_bytes(self, name: str, data: bytes) -> str:
        """Take an image that is in no file; return the name that stands for it."""
        self._bytes[name] = data
        self.handle(name)
        return name

    def _read(self, path: str) -> bytes:
        """Return the bytes of an image: its path may come from anybody's conversation."""
        if path in self._bytes:
            return self._bytes[path]
        try:
            if not os.path.isfile(path) and os.path.exists(path):
                raise CommandError(f"{path} is no file.")
            data = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise CommandError(f"{path}: {why}") from None
        if image_suffix(data) is None:
            raise CommandError(f"{path} is no image (PNG, JPEG, WebP, GIF).")
        self._bytes[path] = data
        return data

    def handle(self, path: str) -> lms.FileHandle:
        """Return an image as the server has it, uploading it if need be."""
        if path not in self._handles:
            data = self._read(path)
            self._handles[path] = self._client.prepare_image(data, os.path.basename(path))
        return self._handles[path]

    def missing(self, conversation: Conversation) -> list[str]:
        """Return the images of a conversation that are not there any more."""
        gone = []
        for path in {path for question, _ in conversation.turns for path in question.images}:
            try:
                self._read(path)
            except CommandError:
                gone.append(path)
        return sorted(gone)

    def to_chat(self, conversation: Conversation) -> lms.Chat:
        """Return what a model gets; images that are not there any more are left out.

        Raises:
            LMStudioError: An image cannot be uploaded.
        """
        gone = self.missing(conversation)
        chat = lms.Chat(conversation.system or None)
        for question, answer in conversation.turns:
            images = [self.handle(path) for path in question.images if path not in gone]
            chat.add_user_message(question.text, images=images)
            if answer is not None:
                chat.add_assistant_response(answer)
        return chat


def image_suffix(data: bytes) -> str | None:
    """Return how the name of such an image ends; None: it is no image of a known kind."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    found = (suffix for beginning, suffix in _BEGINNINGS.items() if data.startswith(beginning))
    return next(found, None)


def paths_in(text: str) -> list[str]:
    """Return the paths that were typed or dragged into the terminal, quoted or not."""
    text = text.strip()
    if os.path.exists(os.path.expanduser(text)):
        return [text]
    try:
        return shlex.split(text, posix=os.name == "posix")
    except ValueError:  # a quotation mark without its other
        return [text]
