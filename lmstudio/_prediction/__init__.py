"""One prediction: from the packets in a call's inbox to fragments, callbacks and a result.

`stream` is what users hold: start, iterate, wait, cancel. `iterator` is its loop, and the thread
that has the `right_to_read` may use it. `reader` takes packets from the inbox, has the
`accumulator` add them up (tool calls: `tool_requests`) and runs `callbacks`. `request` is what the
server is asked. `background_job` reads a stream in the background.
Used by handles and agents. Imports `_background`, `_connection` and `_values`.
"""
