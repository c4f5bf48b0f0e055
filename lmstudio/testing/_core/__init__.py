"""The state of one server and its threads: the loop, connections, records, models, options.

`Core` holds all of it, and every room above gets that. What is here answers no endpoint. Imports
`_engines` and `_protocol`.
"""
