// Models: what is there, loading with progress, several instances, unloading.

import { baseUrl, LMStudioClient, show } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });
const identifiers = models => models.map(model => model.identifier);
const keys = models => models.map(model => model.modelKey);

const downloaded = await client.system.listDownloadedModels();
show("downloaded", downloaded.map(model => [model.modelKey, model.type]));
show("llms", keys(await client.system.listDownloadedModels("llm")));
show("embedding models", keys(await client.system.listDownloadedModels("embedding")));
show("loaded", identifiers(await client.llm.listLoaded()));

let progress = [];
const model = await client.llm.model("test-vlm", {
  verbose: false,
  onProgress: p => progress.push(p),
});
show("load", model.identifier, progress);
const info = await model.getModelInfo();
show("info", info.displayName, info.vision, info.trainedForToolUse, info.sizeBytes);
show("same instance", (await client.llm.model("test-vlm", { verbose: false })).identifier);

progress = [];
const second = await client.llm.load("test-llm", {
  verbose: false,
  identifier: "second",
  ttl: 60,
  config: { contextLength: 2048 },
  onProgress: p => progress.push(p),
});
show("new instance", second.identifier, progress);
show("context length", await second.getContextLength());
show("not so named", (await client.llm.load("test-llm", { verbose: false })).identifier);
show("loaded", identifiers(await client.llm.listLoaded()));

await second.unload();
await client.llm.unload("test-vlm");
show("loaded", identifiers(await client.llm.listLoaded()));
show("embedding", identifiers(await client.embedding.listLoaded()));
