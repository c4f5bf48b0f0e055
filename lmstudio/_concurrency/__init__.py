"""What threads share, and how they are started and told from each other. No call, no socket.

`cancel_token` is what users cancel with; `event_watcher` and `object_watcher` have the threads that
look at events of theirs, `watched` what these have in common, `targets` what is cancelled.
`callback_gate` lets no callback of a closed client start. `once` is a value that the
first to come sets, and `drain` shares out what lies in a deque. `clock`, `deadline`: time, and
waits that end. `threads` starts threads, `fork` tells a child process from its parent.
Used by all rooms above it. Imports `errors` and `_api`.
"""
