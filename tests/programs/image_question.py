"""Asks about an image, and goes on talking about it."""

import sys
import tempfile
from pathlib import Path

import lmstudio as lms

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)

with tempfile.TemporaryDirectory() as folder, lms.Client(sys.argv[1]) as client:
    path = Path(folder) / "pixel.png"
    path.write_bytes(PIXEL)
    image = client.prepare_image(path)
    print(type(image).__name__, image.name, image.file_type, image.size_bytes)
    print(client.files.prepare_image(str(path)) == image)

    model = client.llm.model("test-vlm")
    chat = lms.Chat("You see well.")
    chat.add_user_message("What is this?", images=[image])
    chat.add_assistant_response(model.respond(chat))
    chat.add_user_message(["Are you sure?", "Look again.", image])
    print(model.respond(chat))
