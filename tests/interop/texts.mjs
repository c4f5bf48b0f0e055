// Texts as numbers and as prompts: embeddings, tokens, the chat template.

import { baseUrl, Chat, LMStudioClient, show } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });

const model = await client.llm.model();
show("tokens", await model.tokenize("a b c"));
show("several", await model.tokenize(["a b", "c"]));
show("count", await model.countTokens("one two three"));
show("context length", await model.getContextLength());
const chat = Chat.from([
  { role: "system", content: "You are brief." },
  { role: "user", content: "Hi." },
]);
show("template", await model.applyPromptTemplate(chat));

const embedder = await client.embedding.model("test-embedding", { verbose: false });
show("embedding", (await embedder.embed("hello world")).embedding);
const several = await embedder.embed(["hello", "world"]);
show("embeddings", several.map(({ embedding }) => embedding));
show("embedding tokens", await embedder.tokenize("a b c"), await embedder.countTokens("a b c"));
const info = await embedder.getModelInfo();
show("embedding model", info.modelKey, await embedder.getContextLength(), info.maxContextLength);
