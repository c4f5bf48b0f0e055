"""What the server answers: one function for each endpoint, listed in `handlers`.

A function gets the `Core`, the parameter and, if it serves a channel, the `Channel`; it knows of no
session and of no test. Used by `_calls`. Imports `_core` and the rooms below.
"""
