// The tools of a plugin, which only this client can use: by a model, by hand, and stopped.

import { baseUrl, errorOf, LMStudioClient, show, titleOf } from "./shared.mjs";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const client = new LMStudioClient({ baseUrl, logger: quiet });
const session = await client.plugins.pluginTools("mcp/notes", { workingDirectory: "/notes" });
for (const tool of session.tools) {
  const { name, description, pluginIdentifier, parametersJsonSchema } = tool;
  show("tool", name, description, pluginIdentifier, Object.keys(parametersJsonSchema.properties));
}
const [read, search, broken] = session.tools;

const model = await client.llm.model();
const results = [];
const { rounds } = await model.act("What do the notes say?", session.tools, {
  onMessage: message => results.push(...message.getToolCallResults().map(one => one.content)),
});
show("act", rounds, results);

/** Call a tool by hand; the call is aborted once the tool has said so many things. */
async function call(tool, parameters, stopAfter) {
  const said = [];
  const controller = new AbortController();
  const say = text => {
    said.push(text);
    if (said.length === stopAfter) {
      controller.abort(new Error("enough"));
    }
  };
  const context = { status: say, warn: say, signal: controller.signal, callId: 0 };
  try {
    show("returned", await tool.implementation(parameters, context), said);
  } catch (error) {
    show("threw", titleOf(error), said);
  }
}

await call(read, { topic: "harbour" });
await call(broken, {});
await call(search, { query: "boats" }, 3);
const left = call(search, { query: "cranes" });
session[Symbol.dispose]();
await left;

/** The beginning of the words with which the server refuses a session. */
async function refusalOf(identifier) {
  const [line] = titleOf(await errorOf(client.plugins.pluginTools(identifier))).split("\n");
  return line.replace(/\. .*/, ".").trim();
}
show("nobody", await refusalOf("mcp/nobody"));
show("refused", await refusalOf("mcp/private"));
