"""What threads share: the clock, deadlines, values set once, watched events, tokens, a gate.

`cancel_token` is what users cancel with; `event_watcher` has the thread that looks at their events;
`callback_gate` stands before their callbacks; `fork` tells a child from its parent.
All rooms above enter it. It imports `errors` and `_api`, and knows no call and no socket.
"""
