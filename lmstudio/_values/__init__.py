"""What users hold: chats and their messages, results, what is told about models, local files.

Plain data: nothing here sends, waits or starts a thread.
All rooms above enter it. It imports `_config` and `_json`.
"""
