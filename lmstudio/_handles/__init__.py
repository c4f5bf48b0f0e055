"""What a client offers: handles of models, and the namespaces that find, load and list them.

Each method is thin: it makes a request, has the session ask, and returns what came. `llm` also
makes streams, batches and agents.
Only `_client` enters it. It imports all rooms below.
"""
