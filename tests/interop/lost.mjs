// The connection breaks in the middle of a reply; the same client goes on.

import { baseUrl, LMStudioClient, show } from "./shared.mjs";

const silent = () => {}; // it would log the loss to stderr
const logger = { debug: silent, info: silent, warn: silent, error: silent };
const client = new LMStudioClient({ baseUrl, logger });
const model = await client.llm.model();
// A connection of its own, which stays: who has none left may not come again under its name.
await client.system.listDownloadedModels();

const contents = [];
try {
  for await (const fragment of model.respond("Hi.")) contents.push(fragment.content);
} catch (error) {
  show("lost", contents, error.message.includes("WebSocket connection closed"));
}

show("afterwards", (await model.respond("Are you there?")).content);
