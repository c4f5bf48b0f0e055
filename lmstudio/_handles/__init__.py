"""What a client offers: handles of models, and the namespaces that find, load and list them.

Each method is thin: it makes a request, has the session ask, and returns what came. `handle` is
what all loaded models have in common; `llm` also makes streams, batches and runs of `act()`.
`downloaded` are models on the server's disk; `files` uploads, `repository` downloads.
Used by `_client`. Imports all rooms below.
"""
