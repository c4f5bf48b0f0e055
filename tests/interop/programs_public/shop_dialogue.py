"""A dialogue of prepared messages, each reply put into the chat as the result that it is.

After the manner of enuguru/GenAI, desktop-llms/lmstudio1.py.
"""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
SAID = ("I would like a ticket to the moon.", "This parrot is asleep.", "Do you take eels?")

model = lms.llm()
chat = lms.Chat("You keep a shop, and are patient with strangers")
for message in SAID:
    chat.add_user_message(message)
    print(f"Customer: {message}")
    response = model.respond(chat)
    added = chat.add_assistant_response(response)
    print(f"Shopkeeper: {response}")
    print(type(added).__name__, added.role, [part.text for part in added.content])
print(chat)
copied = chat.copy()
copied.add_user_message("Goodbye.")
print(len(chat._get_history()["messages"]), len(copied._get_history()["messages"]))
