// What the server refuses, and a reply that fails half-way.

import { baseUrl, errorOf, LMStudioClient, show, titleOf } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl, verboseErrorMessages: false });
const model = await client.llm.model();
const quietly = { verbose: false };

async function attempt(label, promise) {
  show(label, titleOf(await errorOf(promise)));
}

await attempt("unknown model", client.llm.model("no-such-model", quietly));
await attempt("unknown model, loaded anew", client.llm.load("no-such-model", quietly));
await attempt("not an LLM", client.llm.model("test-embedding", quietly));
const taken = { identifier: "test-llm", ...quietly };
await attempt("identifier in use", client.llm.load("test-llm", taken));
await attempt("unknown identifier", client.llm.unload("nobody"));
await attempt("unknown preset", model.respond("Hi.", { preset: "nonsense" }));

const contents = [];
const prediction = model.respond("Fail.");
try {
  for await (const fragment of prediction) contents.push(fragment.content);
} catch (error) {
  show("half-way", contents, titleOf(error));
}

const other = await client.llm.load("test-llm", { identifier: "other", ...quietly });
await other.unload();
await attempt("unloaded", other.respond("Hi."));
show("afterwards", (await model.respond("Are you there?")).content);
