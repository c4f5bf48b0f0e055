"""Chats made of all kinds of input."""

import sys

import lmstudio as lms

chat = lms.Chat.from_history(
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
            {"role": "assistant", "content": "Hi!"},
        ]
    }
)
chat.add_user_message(["one", lms.TextData(text="two")])
chat.add_user_message("three")
copy = chat.copy()
copy.add_assistant_response("done")
chat.append({"role": "assistant", "content": "ok"})
chat.add_entry("user", "last")
print(chat)
print(copy)
with lms.Client(sys.argv[1]) as client:
    print(client.llm.model().respond(chat))
    print(client.llm.model().apply_prompt_template(chat))
