"""Files of this computer: what may be given as one, what it is called, and its bytes in pieces."""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import os
import re
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol, TypeAlias, cast

import attrs

from .._api.backports import Buffer
from .._api.shown import shown
from ..errors import LMStudioOSError, LMStudioValueError

MAX_UPLOAD_BYTES = 100 * 1024 * 1024
# A multiple of 3, so that base64 of the pieces is base64 of the whole; it makes 128 KiB of it.
_PIECE = 96 * 1024
# What a source without a name is called, by its first bytes. No text can begin as an image does: a
# program that shows what is called one may trust that it is no SVG, which could name other files.
_HEAD = 64  # bytes
_NAMES = (
    (rb"\x89PNG\r\n\x1a\n", "image.png"),
    (rb"\xff\xd8\xff", "image.jpg"),
    (rb"GIF8[79]a", "image.gif"),
    (rb"RIFF.{4}WEBP", "image.webp"),
    (rb"BM.{4}\0{4}", "image.bmp"),
    (rb"II\*\0|MM\0\*", "image.tiff"),
    (rb"\0{3}.ftyp(avi[fs]|m[is]f1.{4}(.{4})*?avif)", "image.avif"),
    (rb"\0{3}.ftyp(he[iv]|m[is]f1)", "image.heic"),
    (rb"%PDF-", "document.pdf"),
)
_MEDIA_TYPES = {"jpg": "jpeg"}  # those whose media type has another name than the file
_URLS = ("http://", "https://", "data:", "file:")
# The modes of Pillow that a PNG keeps; an image of another mode is converted.
_PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
_ORIENTATION = 0x0112  # the tag of EXIF that says which side is up


class _PillowImage(Protocol):
    """An image of Pillow, which this package does not import."""

    def save(self, fp: Any, format: str | None = None, **params: Any) -> Any: ...


LocalFileInput: TypeAlias = str | os.PathLike[str] | Buffer | BinaryIO | _PillowImage
"""A path, the content itself, a file object opened for reading bytes, or an image of Pillow."""


@attrs.frozen
class LocalFile:
    """A file that can be read, once.

    Attributes:
        name: What it is called.
        size: Its size in bytes.
        pieces: Its bytes. All pieces but the last have the same length, a multiple of 3. Taking
            them raises `LMStudioOSError` if the file cannot be read on, or has another size now.
    """

    name: str
    size: int
    pieces: Iterator[bytes | memoryview]


@contextlib.contextmanager
def open_local_file(
    src: LocalFileInput, name: str | None, max_bytes: int | None
) -> Iterator[LocalFile]:
    """Open a source for reading; its first bytes have been read when this returns.

    A file object is read from where it stands, or all of it if it stands at its end, and is left
    open.

    Args:
        src: The source.
        name: What it is called; None: as the source is called, or as its first bytes suggest.
        max_bytes: How big it may be; None: as big as it is.

    Raises:
        LMStudioOSError: It cannot be read.
        LMStudioValueError: It is empty or too big, or `src` or `name` is nothing of the kind.
    """
    if name is not None and not isinstance(name, str):
        raise LMStudioValueError(f"name must be a string or None; {shown(name)} was given.")
    if isinstance(src, (str, os.PathLike)):
        path = os.fsdecode(src)
        with _open(path) as file:
            yield _from_stream(file, name or os.path.basename(path), shown(path), max_bytes)
    elif (view := _view_of(src)) is not None:
        with view:  # whoever owns the buffer may change its size again afterwards
            yield _from_view(view, name, "The data", max_bytes)
    elif _is_pillow_image(src):
        data, own_name = _saved_image(src)
        yield _from_view(memoryview(data), name or own_name, "The image", max_bytes)
    elif hasattr(src, "read"):
        file = cast(BinaryIO, src)
        yield _from_stream(file, name or _name_of(file), repr(file), max_bytes)
    else:
        given = shown(src) if hasattr(src, "__await__") else type(src).__name__
        raise LMStudioValueError(
            "Expected file-like object, filesystem path, or data buffer, or an image of Pillow; "
            f"{given} was given."
        )


def _open(path: str) -> BinaryIO:
    if path.lower().startswith(_URLS) and not os.path.exists(path):
        raise LMStudioOSError(
            f"Error while reading {shown(path)}: it is a URL, and nothing is fetched. Give the "
            "content as bytes."
        )
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            return open(path, "rb")
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        raise _unreadable(shown(path), error) from error
    # A pipe could make opening it wait for ever, and a device has no end.
    raise LMStudioOSError(
        f"Error while reading {shown(path)}: it is a directory or a device, not a file."
    )


def _unreadable(what: str, error: Exception) -> LMStudioOSError:
    problem = LMStudioOSError(f"Error while reading {what}: {error}")
    problem.errno = getattr(error, "errno", None)
    return problem


def _check_size(size: int, what: str, max_bytes: int | None) -> None:
    if size == 0:
        raise LMStudioValueError(
            f"{what} is empty, or has been read already: there is nothing in it."
        )
    if max_bytes is not None and size > max_bytes:
        raise LMStudioValueError(
            f"{what} is too big: the limit is {max_bytes:,} bytes. "
            "Client(max_upload_bytes=...) sets another one."
        )


# -- content in memory --------------------------------------------------------------------------


def _view_of(src: Any) -> memoryview | None:
    """Return the bytes of a buffer, or None if it is none."""
    try:
        view = memoryview(src)
    except TypeError:
        return None
    except ValueError as error:
        raise LMStudioValueError(f"The data cannot be read: {error}") from error
    shape = view.shape or (1,)
    if view.nbytes > max(shape) * view.itemsize:
        raise LMStudioValueError(
            f"An array of pixels, here {' x '.join(map(str, shape))}, is no image file. Encode it "
            "first, with cv2.imencode('.png', array)[1], or give it as a Pillow image, "
            "Image.fromarray(array)."
        )
    try:
        return view.cast("B")
    except (TypeError, ValueError):  # it does not lie in one piece, or is of an odd format
        return memoryview(view.tobytes())


def _from_view(view: memoryview, name: str | None, what: str, max_bytes: int | None) -> LocalFile:
    _check_size(len(view), what, max_bytes)
    pieces = (view[at : at + _PIECE] for at in range(0, len(view), _PIECE))
    return LocalFile(name or _guess_name(view[:_HEAD]), len(view), pieces)


def _guess_name(head: bytes | memoryview) -> str:
    start = bytes(head)
    names = (name for pattern, name in _NAMES if re.match(pattern, start, re.DOTALL))
    return next(names, "file.bin")


def image_type(content: bytes | memoryview) -> str | None:
    """Return the media type of an image by its first bytes, as ``image/png``; None: it is none."""
    stem, _, ending = _guess_name(content[:_HEAD]).partition(".")
    return f"image/{_MEDIA_TYPES.get(ending, ending)}" if stem == "image" else None


# -- files --------------------------------------------------------------------------------------


def _from_stream(file: BinaryIO, name: str | None, what: str, max_bytes: int | None) -> LocalFile:
    size = _bytes_left(file)
    if size is None:  # a pipe, or what comes over a network
        return _from_view(_read_all(file, what, max_bytes), name, what, max_bytes)
    _check_size(size, what, max_bytes)
    pieces = _pieces_of(file, size, what)
    first = next(pieces)  # so that a file that cannot be read is found before anything is sent
    return LocalFile(name or _guess_name(first[:_HEAD]), size, itertools.chain((first,), pieces))


def _name_of(file: BinaryIO) -> str | None:
    name = getattr(file, "name", None)  # a number for a file that was opened by a descriptor
    if not isinstance(name, str) or name.startswith("<"):  # as "<stdin>"
        return None
    return os.path.basename(name)


def _bytes_left(file: BinaryIO) -> int | None:
    """Return how many bytes there are to be read; None if the file object cannot tell."""
    try:
        here = file.tell()
        file.seek(0, os.SEEK_END)
        end = file.tell()
        if here >= end:  # it was written or read until now, and all of it is meant
            here = 0
        file.seek(here)
    except (AttributeError, TypeError, OSError, ValueError):
        return None
    return max(0, end - here)


def _read(file: BinaryIO, count: int, what: str) -> bytes:
    """Return so many bytes, or fewer at the end of the file."""
    parts: list[bytes] = []
    while count > 0:
        try:
            part = file.read(count)
        except UnicodeDecodeError:  # a file of text is refused below
            part = cast(bytes, "")
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise _unreadable(what, error) from error
        if not isinstance(part, (bytes, bytearray)) or len(part) > count:
            raise LMStudioValueError(
                f"{what} does not give bytes when it is read; open it with open(..., 'rb')."
            )
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _read_all(file: BinaryIO, what: str, max_bytes: int | None) -> memoryview:
    data = bytearray()
    while part := _read(file, _PIECE, what):
        data += part
        if max_bytes is not None and len(data) > max_bytes:
            break
    return memoryview(data)


def _pieces_of(file: BinaryIO, size: int, what: str) -> Iterator[bytes]:
    left = size
    while left:
        count = min(_PIECE, left)
        piece = _read(file, count, what)
        if len(piece) < count:
            break
        left -= count
        yield piece
    if left or _read(file, 1, what):
        raise LMStudioOSError(
            f"{what} changed while it was being read: it had {size:,} bytes, and has "
            f"{'fewer' if left else 'more'} now."
        )


# -- images -------------------------------------------------------------------------------------


def _is_pillow_image(src: object) -> bool:
    return any(
        base.__name__ == "Image" and base.__module__.partition(".")[0] == "PIL"
        for base in type(src).__mro__
    )


def _saved_image(image: Any) -> tuple[bytes, str | None]:
    """Return an image as the content of a file, and the name of the file that it came from."""
    # A photo would be ten times as big as a PNG, and a JPEG saved with the same tables is as good.
    keeps_jpeg = image.format == "JPEG" and image.mode in ("L", "RGB")
    stem, _ = os.path.splitext(os.path.basename(str(getattr(image, "filename", None) or "")))
    stream = io.BytesIO()
    try:
        if keeps_jpeg:
            image.save(stream, "JPEG", quality="keep", exif=_turned_as(image) or b"")
        else:
            if _turned_as(image):
                image = importlib.import_module("PIL.ImageOps").exif_transpose(image)
            if image.mode not in _PNG_MODES:
                image = image.convert("RGBA" if image.mode.endswith(("a", "A")) else "RGB")
            image.save(stream, "PNG")
    except Exception as error:  # Pillow raises all kinds
        raise LMStudioValueError(f"The image cannot be saved: {error}") from error
    return stream.getvalue(), f"{stem}{'.jpg' if keeps_jpeg else '.png'}" if stem else None


def _turned_as(image: Any) -> Any:
    """Return what a photo says of which side is up, and not where and when it was taken."""
    told = image.getexif() if hasattr(image, "getexif") else {}
    kept = type(told)()
    if _ORIENTATION in told:
        kept[_ORIENTATION] = told[_ORIENTATION]
    return kept
