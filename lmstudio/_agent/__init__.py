"""`act()`: rounds of predictions, and the tools that they ask for.

`act` makes the rounds and adds to the chat. `tool_calls` runs tools, each in a thread of its own,
and takes their answers. `tools` reads what users define as a tool, `tool_arguments` what a model
wrote, and `tool_context` is what a running tool is given.
Used by `LLM.act`, and `tools` by predictions that only describe tools. Imports `_prediction`,
`_values` and `_json`.
"""
