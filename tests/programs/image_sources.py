"""Gives images in all the forms in which they may be given, and some that are refused."""

import io
import sys
import tempfile
from pathlib import Path

import lmstudio as lms

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)


def show(handle):
    print(handle.name, handle.identifier, handle.size_bytes, handle.file_type)


lms.configure_default_client(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "pixel.png"
    path.write_bytes(PIXEL)
    for src in (path, str(path)):
        show(lms.prepare_image(src))
        show(lms.prepare_image(src, "other.png"))
    for src in (PIXEL, bytearray(PIXEL), memoryview(PIXEL)):
        show(lms.prepare_image(src, "data.png"))
        print(type(lms.prepare_image(src).name))
    for src in (io.BytesIO(PIXEL), io.BytesIO(b"before" + PIXEL)):
        src.seek(-len(PIXEL), io.SEEK_END)
        show(lms.prepare_image(src, name="stream.png"))
        print(src.closed, src.read())
    with path.open("rb") as file:
        show(lms.prepare_image(file, "file.png"))
        print(file.closed)
    for src in (path.with_name("missing.png"), Path(folder), 3.5, None):
        try:
            lms.prepare_image(src)
        except (lms.LMStudioOSError, lms.LMStudioValueError) as error:
            print(type(error).__name__, isinstance(error, OSError))
