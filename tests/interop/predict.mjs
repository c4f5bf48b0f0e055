// Replies, whole and bit by bit, as answers in a chat and as continuations of a text.

import { baseUrl, Chat, LMStudioClient, show, z } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });
const model = await client.llm.model();

let result = await model.respond("Say hello.");
show("respond", result.content, result.stats.stopReason);
show("counts", result.stats.promptTokensCount, result.stats.predictedTokensCount);
show("model", result.modelInfo.modelKey);

const events = [];
const prediction = model.respond("Count.", {
  onFirstToken: () => events.push("first token"),
  onMessage: message => events.push(message.getText()),
});
const contents = [];
for await (const fragment of prediction) contents.push(fragment.content);
result = await prediction.result();
show("stream", contents);
show("events", events);
show("result", result.content);

const chat = Chat.from([
  { role: "system", content: "You are brief." },
  { role: "user", content: "Hi." },
  { role: "assistant", content: "Hello." },
  { role: "user", content: "How are you?" },
]);
result = await model.respond(chat, { temperature: 0.5, maxTokens: 3, stopStrings: ["END"] });
show("limited", result.content, result.stats.stopReason);

result = await model.complete("Once upon");
show("complete", result.content, result.stats.stopReason);

const fragments = [];
for await (const fragment of model.respond("Think.")) fragments.push(fragment);
show("reasoning", fragments.map(fragment => [fragment.reasoningType, fragment.content]));

const progress = [];
await model.respond("A long prompt.", { onPromptProcessingProgress: p => progress.push(p) });
show("progress", progress);

const schema = z.object({
  title: z.string().min(3),
  year: z.number().int().min(1900),
  tags: z.array(z.enum(["old", "new"])),
});
result = await model.respond("Describe a book.", { structured: schema });
show("structured", result.parsed.title, result.parsed.year, result.parsed.tags);
