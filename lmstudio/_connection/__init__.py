"""From a call to the server and back: one thread for all sockets of a client.

Out: `session` starts a call, waits for its outcome, closes (`request`, `endpoints` and `limits` say
what is called, and for how long); `call` is what its waiter and the I/O thread share: the claim of
who came first, the inbox, the outcome; `dispatcher` looks after open calls, sends the cancels that
are owed, and keeps time limits; `port` is one namespace's websocket, opened when needed; `frames`
makes bytes, `transport` writes them. In: `transport` reads, `frames` cuts messages, `protocol` says
whose each is, `port` puts it into that call's inbox.
Beside them: `reactor` is the I/O thread itself; `address`, `discovery` and `connect` find the server
and open connections; `scope` cancels several calls at once.
Whatever makes calls enters it. It imports `_concurrency`, and knows no model, chat or option.
"""
