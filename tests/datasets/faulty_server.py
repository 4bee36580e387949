"""A web server that serves a folder badly: `python faulty_server.py FOLDER`. It prints its port, then each request.

The first part of a path says how /<how>/<file> is served:

    good      with ranges and an ETag
    plain     without ranges
    anonymous without ranges, ETag and Content-Length
    cut       a third of what is asked for, then the connection ends; with ranges
    stuck     the first 1,000 bytes, then the connection ends; without ranges
    down      503 every time
    ill       500 every second time, else as good
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COUNT = itertools.count()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        how, _, name = self.path.strip("/").partition("/")
        path = Path(sys.argv[1]) / unquote(name)
        wanted = self.headers.get("Range")
        print(how, name, wanted or "all", flush=True)
        if not path.is_file():
            self.send_error(404)
        elif how == "down":
            self.send_error(503)
        elif how == "ill" and next(COUNT) % 2 == 0:
            self.send_error(500)
        else:
            self.serve(how, path.read_bytes(), wanted)

    def serve(self, how: str, data: bytes, wanted: str | None) -> None:
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        start = 0
        if wanted and how in ("good", "cut", "ill") and self.headers.get("If-Range") == tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        if how != "anonymous":
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        rest = data[start:]
        end = {"cut": -(-len(rest) // 3) if len(rest) > 2000 else len(rest), "stuck": 1000}.get(how, len(rest))
        self.wfile.write(rest[:end])

    def log_message(self, *_: object) -> None:
        """Nothing: the requests are printed."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
