// Cancelling: in the middle of a reply, and before its first token.

import { baseUrl, LMStudioClient, show } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });
const model = await client.llm.model();

// The reply has no end: only a cancel ends this loop.
let prediction = model.respond("Tell me a story.");
let content = "";
let count = 0;
for await (const fragment of prediction) {
  if (++count <= 3) content += fragment.content;
  if (count === 3) prediction.cancel();
}
let result = await prediction.result();
show("in the middle", content, result.stats.stopReason);

// Nor does the processing of this prompt.
const progress = [];
const controller = new AbortController();
prediction = model.respond("A very long prompt.", {
  signal: controller.signal,
  onPromptProcessingProgress: value => {
    progress.push(value);
    if (value > 0) controller.abort();
  },
});
const contents = [];
for await (const fragment of prediction) contents.push(fragment.content);
show("fragments", contents);
result = await prediction.result();
show("in the prompt", progress, result.content, result.stats.stopReason);

show("afterwards", (await model.respond("Are you there?")).content);
