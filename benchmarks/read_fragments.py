"""Reads one prediction of the load server, and prints what a fragment costs, as JSON.

    read_fragments.py {floor|lmstudio} PORT

`floor` is a loop over websocket-client's `recv()` and `json.loads`, nothing else. `lmstudio` is the
package of that name which Python finds: this one, or the official one.
"""

import json
import resource
import sys
import time


def cpu_seconds():
    """CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def read_with_websocket_client(host):
    """The floor."""
    import websocket

    socket = websocket.create_connection(
        f"ws://{host}/llm", suppress_origin=True, skip_utf8_validation=True
    )
    socket.send(json.dumps({"authVersion": 1}))
    socket.recv()
    create = {"type": "channelCreate", "endpoint": "predict", "channelId": 1}
    socket.send(json.dumps(create))
    start = cpu_seconds(), time.perf_counter()
    count = 0
    while json.loads(socket.recv())["message"]["type"] != "success":
        count += 1
    return start, count


def read_with_lmstudio(host):
    """A stream of typed fragments; the second one counts, when everything is warm."""
    import lmstudio

    model = lmstudio.Client(host).llm.model()
    for _ in range(2):
        stream = model.respond_stream("hi")
        start = cpu_seconds(), time.perf_counter()
        count = sum(1 for _ in stream)
    return start, count


def main():
    """Read, and print CPU and wall time per fragment in microseconds."""
    kind, port = sys.argv[1:]
    read = read_with_websocket_client if kind == "floor" else read_with_lmstudio
    (cpu, wall), count = read(f"127.0.0.1:{port}")
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    print(json.dumps({"cpu": cpu / count * 1e6, "wall": wall / count * 1e6}))


if __name__ == "__main__":
    main()
