"""What can be asked of the server: for each method its endpoint, its parameter, its result.

Nothing here sends or waits: that is up to whoever makes the call. Predictions make their own.
Handles enter it. It imports `_values`, `_config`, and the words of `_connection`.
"""
