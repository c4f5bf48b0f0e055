"""The options of predictions and of loading, and the keys by which LM Studio knows them.

`prediction_options`, `llm_load_options`, `embedding_load_options` and `gpu_setting` are the tables:
each option with its type, its key and what it does, as `option` declares them; `option_docs` shows
that to `help()`. `prediction_dicts` and `load_dicts` show the options to type checkers as dicts.
`template_options` has those of prompt templates. `from_user` checks what users wrote, `load_rules`
what options mean for each other, `to_wire` turns options into LM Studio's keys and values,
`from_wire` turns them back, and loses nothing. Used by requests and results. Imports `_json`.
"""
