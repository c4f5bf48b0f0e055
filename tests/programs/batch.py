"""Many prompts, one after another, with their token counts."""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
model = lms.llm("test-llm")
prompts = [f"Question {number}: how much is {number} + {number}?" for number in range(5)]
total = 0
for prompt in prompts:
    result = model.respond(prompt, config={"maxTokens": 6, "temperature": 0.2})
    total += model.count_tokens(prompt)
    print(prompt, "->", result.content, result.stats.stop_reason)
print("tokens asked:", total)
