"""A window with tabs: each has a chat of its own, and chats are found and closed as objects."""

import sys
from dataclasses import dataclass, field

import lmstudio as lms


@dataclass
class Tab:
    title: str
    chat: lms.Chat = field(default_factory=lambda: lms.Chat("You are brief."))


@dataclass
class Defaults:
    chat: lms.Chat = lms.Chat("Nobody asked yet.")  # noqa: RUF009


with lms.Client(sys.argv[1]) as client:
    model = client.llm.model("test-llm")
    tabs = [Tab(title) for title in ("one", "two", "three")]
    chats = [tab.chat for tab in tabs]
    titles = {tab.chat: tab.title for tab in tabs}

    current = chats[2]
    print(chats.index(current), titles[current])
    chats.remove(current)
    for chat in chats:
        chat.add_user_message(f"Hello from tab {titles[chat]}.")
        print(model.respond(chat))
    print(len({*chats, current}), current in chats, Defaults().chat is Defaults().chat)

    shown = client.list_downloaded_models()
    chosen = shown[1]
    again = client.list_downloaded_models()  # as when the box is drawn again
    print(again.index(chosen), chosen in again, again[0] == chosen)
