"""A proxy on the loopback interface that breaks what passes through it in every way that is known of servers."""

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NUMBER = re.compile(rb"-\d+\.\d+(e-?\d+)?")


class Proxy:
    """Hands on what it is asked to a server, or does what ``fault`` says.

    Args:
        behind: The server's address, up to the host and port.
    """

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.fault = ""
        self.over = threading.Event()
        self.port = 0
        self.listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def listen(self) -> None:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proxy.spoil(self, body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def refuse(self) -> None:
        """Stops listening, so that nobody can connect."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def spoil(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        match self.fault:
            case "":
                self.send(handler, 200, self.ask(handler, body))
            case "never":
                self.over.wait(20)
            case "429" | "500":
                self.send(handler, int(self.fault), b'{"error": {"message": "no"}}')
            case "half an answer":
                answer = self.ask(handler, body)
                self.send(handler, 200, answer[: len(answer) // 2], length=len(answer))
            case "not JSON":
                self.send(handler, 200, b"{what")
            case "NaN":
                self.send(handler, 200, NUMBER.sub(b"NaN", self.ask(handler, body)))
            case "infinite":
                self.send(handler, 200, NUMBER.sub(b"-Infinity", self.ask(handler, body)))
            case "empty":
                self.send(handler, 200, b"")
            case "no choices":
                self.send(handler, 200, b'{"choices": []}')
            case "endless":
                self.send(handler, 200, b'{"choices": "', length=2**40)
                self.keep_sending(handler, b"x" * 2**16, 0.0)
            case "one byte at a time":
                self.send(handler, 200, b"{", length=2**20)
                self.keep_sending(handler, b" ", 0.05)

    def ask(self, handler: BaseHTTPRequestHandler, body: bytes) -> bytes:
        request = urllib.request.Request(
            self.behind + handler.path, data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def send(self, handler: BaseHTTPRequestHandler, status: int, sent: bytes, length: int | None = None) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(sent) if length is None else length))
        handler.end_headers()
        handler.wfile.write(sent)

    def keep_sending(self, handler: BaseHTTPRequestHandler, piece: bytes, pause: float) -> None:
        try:
            for _ in range(20_000):
                handler.wfile.write(piece)
                if self.over.wait(pause):
                    return
        except OSError:
            return  # the client has had enough


@contextmanager
def proxy_before(url: str) -> Iterator[Proxy]:
    """Puts a proxy before a server for a while."""
    proxy = Proxy(url.removesuffix("/v1"))
    try:
        yield proxy
    finally:
        proxy.over.set()
        proxy.refuse()
