"""Files: an image goes to the server and then, by its handle, into a chat."""

import base64

from official_shared import HOST, lms, show

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)

with lms.Client(HOST) as client:
    image = client.prepare_image(PIXEL, "pixel.png")
    show("image", image.name, image.file_type, image.size_bytes)
    show("identifier", image.identifier)
    show("the same again", client.prepare_image(PIXEL, "copy.png").identifier == image.identifier)

    chat = lms.Chat()
    chat.add_user_message("What is this?", images=[image])
    show("reply", client.llm.model("test-vlm").respond(chat).content)
