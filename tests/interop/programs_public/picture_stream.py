"""Streams what a model says of a picture on disk, uploaded by the client itself.

After the manner of stndart/radarange-orchestrator, examples/lmstudio_images_description.py.
"""

import os
import sys
import tempfile
from pathlib import Path

import lmstudio as lms

folder = Path(tempfile.mkdtemp())
os.chdir(folder)
(folder / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"a picture" * 20)

with lms.Client(sys.argv[1]) as client:
    model = client.llm.model("test-vlm", ttl=30)
    handle = client.prepare_image(str(folder / "image.png"))
    print(handle.name, handle.size_bytes, handle.file_type, handle.type)

    chat = lms.Chat()
    chat.add_user_message("What is in the picture?", images=[handle])
    for token in model.respond_stream(chat):
        print(token.content, end="", flush=True)
    print()

    # The same once more: a path, a file that is open, bytes with a name of their own.
    again = client.files.prepare_image(folder / "image.png")
    with open("image.png", "rb") as file:
        opened = client.prepare_image(file)
    named = client.prepare_image((folder / "image.png").read_bytes(), "given.png")
    print([one.name for one in (again, opened, named)])
    chat.add_assistant_response("A parrot.")
    chat.add_user_message("And in these?", images=[again, opened, named])
    print(model.respond(chat))
    print([message["role"] for message in chat._get_history()["messages"]])
