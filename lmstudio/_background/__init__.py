"""What runs without a thread of the user's, and how its callbacks reach a window.

`thread` reads what nobody waits for, `future` is what its user holds, `callback_queue` brings
callbacks in order to where they belong, `dispatchers` are for Tk and Qt.
Predictions and batches enter it. It imports `_connection` and `_concurrency`.
"""
