"""A server that lets in nobody whose last connection has closed, as LM Studio's public one does.

It knows a few calls only; each connection has a thread, and the state a lock.
"""

import contextlib
import json
import threading
from collections import Counter

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

GONE = "Client is already released!"


def _greet(connection, request):
    if request.path == "/lmstudio-greeting":
        return connection.respond(200, '{"lmstudio": true}')
    return None


class ForgetfulServer(contextlib.ExitStack):
    """Attributes: `seen`, the identifiers that came, with the path and whether they were let in."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.sent = []  # what was called
        self.refuse_all = False
        self._changed = threading.Condition()
        self._open = Counter()
        self._sockets = []
        self._server = self.enter_context(
            serve(self._handle, "127.0.0.1", 0, compression=None, process_request=_greet)
        )
        self.host = f"127.0.0.1:{self._server.socket.getsockname()[1]}"
        thread = threading.Thread(target=self._server.serve_forever, name="forgetful-server")
        thread.start()
        self.callback(thread.join, 10)
        self.callback(self._server.shutdown)
        self.callback(self.drop_all)

    def drop_all(self):
        """Close all connections, and return when nobody has one any more."""
        for socket in list(self._sockets):
            socket.close()
        with self._changed:
            assert self._changed.wait_for(lambda: not self._open.total(), 10)

    @property
    def identifiers(self):
        """Those that were let in, each once, in the order in which they came."""
        return list(dict.fromkeys(who for who, _, is_in in self.seen if is_in))

    def _handle(self, socket):
        who = json.loads(socket.recv())["clientIdentifier"]
        path = socket.request.path
        with self._changed:
            is_in = self._open.get(who) != 0 and not self.refuse_all
            self.seen.append((who, path, is_in))
            if is_in:
                self._open[who] += 1
                self._sockets.append(socket)
        if not is_in:
            socket.send(json.dumps({"success": False, "error": GONE}))
            return
        try:
            socket.send(json.dumps({"success": True}))
            for text in socket:
                self._answer(socket, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            with self._changed:
                self._open[who] -= 1  # zero stays in the counter: nobody comes again
                self._sockets.remove(socket)
                self._changed.notify_all()

    def _answer(self, socket, message):
        endpoint = message.get("endpoint")
        self.sent.append(endpoint)
        if endpoint == "listLoaded":
            answer = {"type": "rpcResult", "callId": message["callId"], "result": []}
        elif endpoint == "uploadFileBase64":
            file = {"identifier": f"file-{len(self.sent)}", "sizeBytes": 3, "fileType": "image"}
            answer = {"type": "rpcResult", "callId": message["callId"], "result": file}
        elif endpoint == "predict":
            answer = {"type": "channelError", "channelId": message["channelId"], "error": {}}
        else:
            warning = f"Received rpcCall for unknown endpoint, endpoint = {endpoint}"
            kind = "rpcEndpointUnknown"
            answer = {"type": "communicationWarning", "warning": warning, "kind": kind}
        socket.send(json.dumps(answer))
