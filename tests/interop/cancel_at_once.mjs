// Cancelling as soon as the server shows that it works on the prompt.

import { baseUrl, LMStudioClient, show } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });
const model = await client.llm.model();
const prediction = model.respond("A prompt that takes minutes.", {
  onPromptProcessingProgress: () => prediction.cancel(),
});
const result = await prediction.result();
show("at once", result.content, result.stats.stopReason);
