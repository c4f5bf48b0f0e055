// The repository: searching a model, downloading it with progress, and using it.

import { baseUrl, LMStudioClient, show } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });
const search = opts => client.repository.searchModels(opts);

const found = await search({ searchTerm: "tiny" });
show("found", found.map(entry => entry.name));
show("nothing", (await search({ searchTerm: "no such model" })).length);
show("limited", (await search({ searchTerm: "test", limit: 2 })).length);

const options = await found[0].getDownloadOptions();
for (const option of options) {
  const { name, quantization, sizeBytes } = option;
  show("option", name, quantization, sizeBytes, option.isRecommended());
}

const sizes = [];
const finalized = [];
const key = await options[0].download({
  onProgress: ({ downloadedBytes, totalBytes }) => sizes.push([downloadedBytes, totalBytes]),
  onStartFinalizing: () => finalized.push(true),
});
show("progress", sizes);
show("downloaded", key, finalized);
const llms = await client.system.listDownloadedModels("llm");
show("llms", llms.map(model => model.modelKey));
const model = await client.llm.model(key, { verbose: false });
show("reply", (await model.respond("Hi.")).content);
