"""The options of predictions and of loading, and the keys by which LM Studio knows them.

`options` is the table: one line for each option, its type and its key. `reading` checks what users
wrote, `to_wire` turns options into LM Studio's keys and values, `from_wire` turns them back.
Requests and results enter it. It imports `_json`.
"""
