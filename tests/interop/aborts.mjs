// What only this client can stop: loading a model, a download, and a loop with tools.

import { baseUrl, errorOf, LMStudioClient, show, tool } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });

// Loading and downloading last for minutes on this server, and report progress at once.
let controller = new AbortController();
const loading = client.llm.load("test-vlm", {
  verbose: false,
  signal: controller.signal,
  onProgress: () => controller.abort("enough loaded"),
});
show("load", await errorOf(loading));

const [entry] = await client.repository.searchModels({ searchTerm: "tiny" });
const [option] = await entry.getDownloadOptions();
process.once("unhandledRejection", () => {}); // 1.5.0 forgets about a copy of the rejection
controller = new AbortController();
const download = option.download({
  signal: controller.signal,
  onProgress: () => controller.abort("enough downloaded"),
});
show("download", await errorOf(download));

// The second round of this loop lasts for minutes. The abort also sends a cancel into the first
// round's channel, which is closed: the server warns of it, and this client tells its logger.
const warnings = [];
const silent = () => {};
const warn = (...words) => warnings.push(words.join(" "));
const logger = { debug: silent, info: silent, warn, error: warn };
const looper = new LMStudioClient({ baseUrl, logger });
const model = await looper.llm.model();
controller = new AbortController();
const calls = [];
const ping = tool({
  name: "ping",
  description: "Ask for an answer.",
  parameters: {},
  implementation: () => {
    calls.push("ping");
    return "pong";
  },
});
const { rounds } = await model.act("Go on for ever.", [ping], {
  signal: controller.signal,
  onPredictionFragment: ({ roundIndex }) => {
    if (roundIndex === 1) controller.abort("enough said");
  },
});
show("act", rounds, calls);
show("afterwards", (await model.respond("Are you there?")).content);
show("warnings", warnings.map(words => words.match(/unknown channel/)?.[0] ?? words));
