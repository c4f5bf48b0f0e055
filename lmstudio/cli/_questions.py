"""What a batch asks for each row: a text, or a chat with a system prompt and pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import Any

import lmstudio as lms

from ._chat.images import image_suffix
from ._input import FileError, Row

__all__ = ["Questions", "check_image"]

_HEAD = 16  # bytes by which a picture is known
_PAUSE = 1.0  # seconds between tries to upload a picture to a server that is not there


class Questions:
    """Makes what is asked out of rows. It belongs to the thread that iterates over the batch."""

    def __init__(
        self,
        files: lms.Client | None,
        *,
        system: str | None,
        image: str | None,
        patience: float | None,
        stop: lms.CancelToken,
    ) -> None:
        """Say what goes with each row.

        Args:
            files: Where pictures are uploaded to; None: nowhere.
            system: What the model is to be.
            image: The path of a picture for all rows.
            patience: Seconds that the server may not be there while one is uploaded.
            stop: Ends that.
        """
        self._client = files
        self._system = system
        self._image = image
        self._patience = patience
        self._stop = stop
        self._uploaded: Any = None  # that picture
        self.is_answered: Callable[[Row], bool] = lambda _: False

    def ask(self, row: Row) -> Any:
        """Return what is asked for a row; None if that cannot be, and `row.problem` is why.

        Raises:
            LMStudioWebsocketError: There is nobody to upload a picture to.
            LMStudioCancelledError: An upload was stopped.
        """
        if row.problem is not None:
            return None
        try:
            return self._chat(row)
        except (lms.LMStudioWebsocketError, lms.LMStudioCancelledError):
            raise
        except lms.LMStudioError as error:  # of this row: its chat, its picture
            row.problem = str(error)
            return None

    def upload_again(self) -> None:
        """Forget the picture for all rows: a server that was started anew does not have it."""
        self._uploaded = None

    def _chat(self, row: Row) -> Any:
        question = row.question
        images = self._images(row)
        if isinstance(question, str) and self._system is None and not images:
            return question
        if isinstance(question, str):
            chat = lms.Chat(self._system)
            chat.add_user_message([question] if question else [], images=images)
            return chat
        says_it = any(isinstance(one, dict) and one.get("role") == "system" for one in question)
        if self._system is not None and not says_it:
            question = [{"role": "system", "content": self._system}, *question]
        chat = lms.Chat.from_history({"messages": question})
        if images:
            chat.add_user_message([], images=images)
        return chat

    def _images(self, row: Row) -> list[Any]:
        images = []
        if self._image is not None:
            if self._uploaded is None:
                self._uploaded = self._upload(self._image)
            images.append(self._uploaded)
        if row.image is not None:
            images.append(_known(row.image) if self.is_answered(row) else self._upload(row.image))
        return images

    def _upload(self, path: str) -> Any:
        assert self._client is not None
        if os.path.isfile(path) and not _is_image(path):
            raise FileError(f"{path} is no image (PNG, JPEG, WebP, GIF).")
        begun = monotonic()
        while True:
            try:
                return self._client.files.prepare_image(path, cancel_event=self._stop)
            except lms.LMStudioWebsocketError:
                if self._patience is not None and monotonic() - begun >= self._patience:
                    raise
                self._stop.wait(_PAUSE)


def check_image(path: str | None) -> None:
    """Refuse a picture for all rows that is not there, or is none.

    Raises:
        FileError: It is.
    """
    if path is not None and not os.path.isfile(path):
        raise FileError(f"There is no picture {path}.")
    if path is not None and not _is_image(path):
        raise FileError(f"{path} is no image (PNG, JPEG, WebP, GIF).")


def _is_image(path: str) -> bool:
    with open(path, "rb") as file:
        return image_suffix(file.read(_HEAD)) is not None


def _known(path: str) -> lms.FileHandle:
    """Return a handle of a picture that need not be uploaded: the journal has the answer."""
    try:
        size = os.stat(path).st_size
    except OSError:
        size = 0
    return lms.FileHandle(
        name=os.path.basename(path), identifier="", size_bytes=size, file_type="image"
    )
