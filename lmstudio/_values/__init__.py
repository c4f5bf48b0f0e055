"""What users hold: chats, results, what is told about models, files of this computer.

Plain data: nothing here sends, waits or starts a thread. A chat is made of `messages`, and those of
what users give (`chat_input`).
Used by all rooms above it. Imports `_config` and `_json`.
"""
