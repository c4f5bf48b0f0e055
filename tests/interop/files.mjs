// Files: an image goes to the server and then, by its handle, into a chat.

import { baseUrl, LMStudioClient, show } from "./shared.mjs";

const pixel =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg" +
  "gg==";

const client = new LMStudioClient({ baseUrl });

const image = await client.files.prepareImageBase64("pixel.png", pixel);
show("image", image.name, image.type, image.sizeBytes);
show("identifier", image.identifier);
const again = await client.files.prepareImageBase64("copy.png", pixel);
show("the same again", again.identifier === image.identifier);

const model = await client.llm.model("test-vlm", { verbose: false });
const message = { role: "user", content: "What is this?", images: [image] };
show("reply", (await model.respond([message])).content);
