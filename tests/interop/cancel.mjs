// Cancelling: before the first token of a reply, and in the middle of one.

import { baseUrl, LMStudioClient, show } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });
const model = await client.llm.model();

// The test answers this one: it reports progress, and waits for the cancel.
const progress = [];
const controller = new AbortController();
let prediction = model.respond("A very long prompt.", {
  signal: controller.signal,
  onPromptProcessingProgress: value => {
    progress.push(value);
    if (value > 0) controller.abort();
  },
});
const contents = [];
for await (const fragment of prediction) contents.push(fragment.content);
show("fragments", contents);
let result = await prediction.result();
show("in the prompt", progress, result.content, result.stats.stopReason);

// This reply lasts for minutes: only a cancel ends the loop in time.
let content = "";
let count = 0;
prediction = model.respond("Tell me a story.");
for await (const fragment of prediction) {
  if (++count <= 3) content += fragment.content;
  if (count === 3) prediction.cancel();
}
result = await prediction.result();
show("in the middle", content, result.stats.stopReason);

show("afterwards", (await model.respond("Are you there?")).content);
