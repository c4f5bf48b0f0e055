"""One prediction: from the packets in a call's inbox to fragments, callbacks and a result.

`stream` is what users hold (start, iterate, wait, cancel) and `iterator` its loop; `reader` takes
packets from the inbox and folds them by the `accumulator`; `request` says what is asked for.
Handles, agents and batches enter it. It imports `_background`, `_connection` and `_values`.
"""
