"""What runs without a thread of the user's, and how its callbacks reach a window.

`thread` reads what nobody waits for, `future` is what its user holds. `callback_queue` keeps
callbacks in order and runs them where they belong; `toolkits` has that place for Tk and Qt. User
code that hangs there is what `seat` and `lane` are for.
Used by predictions and batches. Imports `_connection` and `_concurrency`.
"""
