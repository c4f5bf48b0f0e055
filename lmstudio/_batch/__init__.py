"""Many inputs, a few at a time: `batch` starts them and gives their outcomes, `progress` shows it.

Handles enter it. It imports `_background` and `_connection`.
"""
