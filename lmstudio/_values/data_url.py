"""An image as a `data:` URL, as OpenAI's messages and web pages have it."""

from __future__ import annotations

import base64
import os

from .._api.public import public
from .._api.shown import shown
from ..errors import LMStudioValueError
from .local_file import LocalFileInput, image_type, open_local_file


def data_url(image: LocalFileInput) -> str:
    """Return an image as a ``data:`` URL, to be shown by a window or a web page, or saved.

    Every web page shows PNG, JPEG, GIF and WebP; the other kinds are not shown everywhere.

    LM Studio does not give uploaded images back. A program that saves its chats keeps the URL of
    each, for `Chat.to_openai()` and `Chat.from_openai()`.

    Args:
        image: What `prepare_image()` takes.

    Raises:
        LMStudioOSError: It cannot be read.
        LMStudioValueError: It is no PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF or HEIC by its first
            bytes, whatever its name is (an SVG is a text, which may name files of the computer that
            shows it); or it is empty, or nothing that can be read.

    Thread safety: may be called in any thread.

    Endpoint: none.
    """
    with open_local_file(image, None, None) as file:
        first = next(file.pieces)
        kind = image_type(first)
        if kind is None:
            what = shown(os.fspath(image)) if isinstance(image, (str, os.PathLike)) else "This"
            raise LMStudioValueError(
                f"{what} is no image: by its first bytes it is no PNG, JPEG, GIF, WebP, BMP, TIFF, "
                "AVIF or HEIC. Convert it to one of these."
            )
        content = b"".join((first, *file.pieces))
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


public(data_url)
