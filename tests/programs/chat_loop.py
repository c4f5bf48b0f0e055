"""A chat of several turns, with the history kept by the program."""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
model = lms.llm()
chat = lms.Chat("You are a task focused AI assistant.")
for question in ("What is a lighthouse?", "Who keeps it?", "Thank you."):
    chat.add_user_message(question)
    print("You:", question)
    print("Bot: ", end="")
    stream = model.respond_stream(chat, on_message=chat.append)
    for fragment in stream:
        print(fragment.content, end="")
    print()
print(chat)
