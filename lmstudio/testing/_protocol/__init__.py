"""LM Studio's protocol as data: names and shapes of messages, errors in its words, checks.

Used by all rooms. Plain functions and tables without state, threads or sockets. Imports nothing
of the other rooms.
"""
