// What only this client shows of a model that asks for tools: every step of the request.

import { baseUrl, LMStudioClient, show, tool, z } from "./shared.mjs";

const add = tool({
  name: "add",
  description: "Add two numbers.",
  parameters: { a: z.number(), b: z.number() },
  implementation: ({ a, b }) => a + b,
});

const client = new LMStudioClient({ baseUrl });
const model = await client.llm.model();
const steps = [];
const step = name => (round, call, ...rest) => steps.push([name, ...rest]);

const { rounds } = await model.act("What is 1 + 2?", [add], {
  onToolCallRequestStart: step("start"),
  onToolCallRequestNameReceived: step("name"),
  onToolCallRequestArgumentFragmentGenerated: step("arguments"),
  onToolCallRequestEnd: (round, call, { toolCallRequest }) => steps.push(["end", toolCallRequest]),
  onToolCallRequestFailure: (round, call, error) => steps.push(["failure", error.rawContent]),
  handleInvalidToolRequest: () => undefined,
});
for (const [name, ...rest] of steps) show(name, ...rest);
show("rounds", rounds);
