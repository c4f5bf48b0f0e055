"""What makes the replies: an engine gets a request and yields tokens; scripted, generated, llama.

Users may write engines of their own, so nothing here knows of channels or connections: the server
calls an engine, never the other way round. Imports `_protocol`.
"""
