"""From a call to the server and back: one I/O thread for all sockets of a client.

Out: `session` starts a call, waits for its outcome, closes (a `request` says what is called and
what the answer becomes; `endpoints` what channels and RPCs are; `limits` how long one may take).
`call` is what its waiter and the I/O thread share: who came first, a cancel or the end (the
claim), the inbox, the outcome. `dispatcher` looks after open calls: it starts and ends them,
decides whether a cancel has still to be sent, and ends those whose time is over. `port` is one
namespace's websocket: it opens and reopens it, writes messages, and when it is lost ends all calls
on it. `frames` makes bytes of messages, `transport` writes them.
In: `transport` reads, `frames` cuts messages, `protocol` says whose each is, `port` puts it into
that call's inbox.
Beside them: `reactor` is the I/O thread itself; `address` and `discovery` say where the server is;
`dial`, `http_exchange`, `route` and `connect` open connections, on a `wire` that has one deadline;
`scope` cancels several calls at once.
Used by all that makes calls. Imports `_concurrency`; knows no model, chat or option.
"""
