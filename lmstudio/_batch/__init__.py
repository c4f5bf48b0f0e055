"""Many inputs, a few at a time: what is asked where and when, what comes of it, what is kept.

The way of an input, all of it in the thread that iterates (`batch`)::

    inputs --> Task --> a free place at a Host --> Running --> news --> judge --> outcome --> given
                ^   the journal may have it    calls: the I/O    verdicts   |
                |                              thread                       |
                +---- waiting: lost, refused by one host, or tried again ---+

`tasks` has an input on that way. `hosts` has the places: where is one free, which host rests after
a loss, which has left, and when the patience is over; an `inquiry` asks how many a host has.
`calls` starts an input, and knows what does not fit. `verdicts` says what an end means. A line of
the `journal_file` (`records` are its lines, `journal` names it, `file_lock` keeps others off) is
written before its outcome is given. `numbers` adds up, `progress` shows it, `outcome` is what the
user gets, `options` what he gives.

Each step may be repeated, wherever Ctrl-C came: first what is new is stored, last the old is
forgotten. After a cancel nothing is begun; what neither runs nor has an outcome is unfinished.
Used by handles. Imports `_prediction`, `_background` and `_connection`.
"""
