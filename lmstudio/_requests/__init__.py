"""What can be asked of the server: for each method its endpoint, its parameter, its result.

Nothing here sends or waits; that is the session's affair, and the stream's. Handles make requests
of it. It may import values, configurations, JSON and the words of the connection.
"""
