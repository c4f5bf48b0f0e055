"""The options of predictions and of loading, and the keys by which LM Studio knows them.

`options` is the table: one line for each option, with its type and its key. `option_dicts`
shows the options to type checkers as dicts. `template_options` has those of prompt templates.
`from_user` checks what users wrote, `load_rules` what options mean for each other, `to_wire` turns
options into LM Studio's keys and values, `from_wire` turns them back, and loses nothing.
Used by requests and results. Imports `_json`.
"""
