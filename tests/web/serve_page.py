"""Serves the web back end that a program of a page makes, and prints its port.

serve_page.py PROGRAM
"""

import socket
import sys
from pathlib import Path

program = {"__name__": "page"}
sys.modules["page"] = type(sys)("page")  # Django imports what has the addresses
sys.modules["page"].__dict__.update(program)
code = compile(Path(sys.argv[1]).read_text(encoding="utf-8"), "page.py", "exec")
exec(code, sys.modules["page"].__dict__)
app = sys.modules["page"].app
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
if type(app).__module__.startswith("aiohttp"):
    from aiohttp import web

    web.run_app(app, sock=listener, print=None, handler_cancellation=True)
else:
    import uvicorn

    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
