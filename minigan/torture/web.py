"""A server on 127.0.0.1 that truncates, stalls, redirects and lies; and the line of downloads from it."""

from __future__ import annotations

import hashlib
import http.server
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..data import archives
from ..data.download import DownloadError, Patience, fetch
from .damage import damaged
from .lines import Case, line, one_line, require

DATA = bytes(range(256)) * 2000  # 512,000 bytes
DIGEST = hashlib.sha256(DATA).hexdigest()


def right(path: Path) -> None:
    """Raises ValueError for a file that is not DATA."""
    archives.check_file(path, DIGEST)


class Server(http.server.ThreadingHTTPServer):
    """Answers each path by a function of (handler, first byte asked for); keeps the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests = {}, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path: str, answer: Callable) -> str:
        """The address of an answer."""
        self.answers[f"/{path}"] = answer
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def handle_error(self, request, client_address) -> None:
        """Who asked has gone: nobody has to be told."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """Look up the answer."""
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.first = int(span[1]) if span else 0
        self.server.requests.append((self.path, self.first))
        self.server.answers[self.path](self)

    def log_message(self, *_) -> None:
        """Nothing."""

    def reply(self, data: bytes, send: int | None = None, ranges: bool = True, tag: str = '"v1"') -> None:
        """Serve `data` from the byte asked for, or only `send` bytes of it."""
        version = self.headers.get("If-Range", tag)
        first = self.first if ranges and version == tag else 0
        body = data[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", tag)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(body if send is None else body[:send])


@contextmanager
def serving() -> Iterator[Server]:
    """A server, until the end."""
    server = Server()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def redirect(h: Handler, target: str) -> None:
    """Send who asks elsewhere."""
    h.send_response(302)
    h.send_header("Location", target)
    h.end_headers()


def _stall(h: Handler, send: int, seconds: float) -> None:
    with suppress(OSError):
        h.reply(DATA, send=send)
        h.wfile.flush()
        time.sleep(seconds)


def _lie(h: Handler, length: int) -> None:
    h.send_response(200)
    h.send_header("Content-Length", str(length))
    h.end_headers()
    h.wfile.write(DATA)


def _in_turn(acts: list[Callable]) -> Callable:
    """One answer to each request, the last to all further ones."""
    return lambda h: (acts.pop(0) if len(acts) > 1 else acts[0])(h)


QUICK = Patience(tries=2, timeout=0.3, pause=0.001)


@line("http", 300, "from servers that truncate, stall, redirect and lie a file is had whole, or not at all")
def http_(folder: Path) -> Iterator[Case]:
    """One to three mirrors, each of which answers the first request, and the second, in a way of its own."""
    with serving() as server:
        good = server.url("good", lambda h: h.reply(DATA))

        def answer(rng) -> tuple[str, Callable]:
            cut, what = int(rng.integers(0, len(DATA))), int(rng.integers(0, 10))
            code = int(rng.choice([301, 304, 400, 403, 404, 416, 429, 500, 502, 503]))
            wrong = damaged(DATA, rng)[1]
            return [
                ("right", lambda h: h.reply(DATA)),
                ("truncated", lambda h: h.reply(DATA, send=cut)),
                ("without ranges", lambda h: h.reply(DATA, send=cut, ranges=False)),
                ("stalled", lambda h: _stall(h, cut, 1.0)),
                ("other content", lambda h: h.reply(wrong)),
                ("another length", lambda h: _lie(h, cut)),
                ("refused", lambda h: h.send_error(code)),
                ("sent on", lambda h: redirect(h, good if cut % 2 else "/round")),
                ("sent to a file", lambda h: redirect(h, "file:///etc/hostname")),
                ("no HTTP", lambda h: h.wfile.write(wrong[:1000])),
            ][what]

        server.answers["/round"] = lambda h: redirect(h, "/round")

        def case(k, rng) -> str:
            place, urls, kinds = folder / f"{k}", [], []
            for mirror in range(int(rng.integers(1, 4))):
                turns = [answer(rng), answer(rng)]
                kinds.append([name for name, _ in turns])
                urls.append(server.url(f"{k}/{mirror}", _in_turn([act for _, act in turns])))
            hopeless = not any("right" in names for names in kinds)
            if rng.integers(2):
                urls.append(good)
            try:
                path = fetch("file.bin", urls, place, right, 1 << 20, QUICK)
            except Exception as error:
                one_line(error, (DownloadError,))
                require(good not in urls, f"{kinds}, and a right mirror was not asked: {error}")
                require(not (place / "file.bin").exists(), f"{kinds}: refused, and the file is there")
                return "refused in one line"
            require(path.read_bytes() == DATA, f"{kinds}: another content")
            require(sorted(p.suffix for p in place.iterdir()) in ([".bin", ".lock"], [".bin"]), f"{kinds}: left behind")
            shutil.rmtree(place)
            return "whole, from the last mirror" if hopeless and good in urls else "whole"

        yield case
