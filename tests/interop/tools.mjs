// Tools: the model asks for them over several rounds, and gets what they returned.

import { baseUrl, LMStudioClient, show, tool, z } from "./shared.mjs";

const calls = [];

const add = tool({
  name: "add",
  description: "Add two numbers.",
  parameters: { a: z.number().int(), b: z.number().int() },
  implementation: ({ a, b }) => {
    calls.push(["add", a, b]);
    return a + b;
  },
});

const shout = tool({
  name: "shout",
  description: "Say it in capital letters.",
  parameters: { text: z.string() },
  implementation: ({ text }) => {
    calls.push(["shout", text]);
    return text.toUpperCase();
  },
});

function describe(message) {
  if (message.getRole() === "tool") {
    show("results", message.getToolCallResults().map(({ content }) => content).sort());
  } else {
    show("said", message.getText(), message.getToolCallRequests().map(({ name }) => name));
  }
}

const client = new LMStudioClient({ baseUrl });
const model = await client.llm.model();
const rounds = [];
let result = await model.act("What is 1 + 2 + 3?", [add, shout], {
  onMessage: describe,
  onRoundStart: index => rounds.push(index),
});
show("rounds", result.rounds, rounds);
show("calls", calls);

// The model asks for a tool that nobody has, and is told so.
result = await model.act("Divide.", [add]);
show("rounds", result.rounds);

// In the last round that is allowed, no tool is offered.
result = await model.act("Add.", [add], { maxPredictionRounds: 2 });
show("rounds", result.rounds);
