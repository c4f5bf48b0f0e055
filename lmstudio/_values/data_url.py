"""An image as a `data:` URL, as OpenAI's messages and web pages have it."""

from __future__ import annotations

import base64

from .._api.public import public
from ..errors import LMStudioValueError
from .local_file import LocalFileInput, image_type, open_local_file


def data_url(image: LocalFileInput) -> str:
    """Return an image as a ``data:`` URL, to be shown by a window or a web page, or saved.

    LM Studio does not give uploaded images back. A program that saves its chats keeps the URL of
    each, for `Chat.to_openai()` and `Chat.from_openai()`.

    Args:
        image: What `prepare_image()` takes.

    Raises:
        LMStudioOSError: It cannot be read.
        LMStudioValueError: It is no PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF or HEIC by its first
            bytes (an SVG is a text, which may name files of the computer that shows it); or
            nothing that can be read.

    Thread safety: may be called in any thread.

    Endpoint: none.
    """
    with open_local_file(image, None, None) as file:
        content = b"".join(file.pieces)
    kind = image_type(content)
    if kind is None:
        raise LMStudioValueError(
            "This is no image: by its first bytes it is no PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF "
            "or HEIC. Convert it to one of these."
        )
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


public(data_url)
