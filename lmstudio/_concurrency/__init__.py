"""What threads share: the clock, deadlines, values set once, events, tokens, gates. No sockets.

Every room above may use it. It imports only `errors` and `_api`.
"""
