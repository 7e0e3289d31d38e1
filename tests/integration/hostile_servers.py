"""Servers that mean no good, and the network between: over real sockets on this machine."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

Answer = Callable[[bytes], Iterator[bytes]]
HEAD = b"HTTP/1.1 %d X\r\nConnection: close\r\n%s\r\n"


def head(status: int = 200, **headers: str) -> bytes:
    """An answer up to its body."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return HEAD % (status, lines.encode())


def whole(body: bytes, status: int = 200, **headers: str) -> bytes:
    """An answer with its body."""
    return head(status, Content_Length=str(len(body)), **headers) + body


class Door:
    """Accepts connections on loopback and gives each to a thread of its own, until the test is over."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # whoever called has hung up
            self.serve(connection)
            connection.shutdown(socket.SHUT_RDWR)

    def serve(self, connection: socket.socket) -> None:
        """Talk to one caller."""
        raise NotImplementedError


class Scripted(Door):
    """Answers each request with what `answer` yields; keeps the requests in `seen`.

    Attributes
    ----------
    seen
        Request heads, as they came.
    sent
        Bytes of answers that were written.
    """

    def __init__(self, answer: Answer) -> None:
        self.seen: list[bytes] = []
        self.sent = 0
        self._answer = answer
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        request = read_request(connection)
        self.seen.append(request)
        for piece in self._answer(request):
            connection.sendall(piece)
            self.sent += len(piece)


class Tls(Door):
    """TLS, with HTTP/1.1 as the only protocol on offer, in front of a plain server on this machine."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        context.set_alpn_protocols(["http/1.1"])
        self._context, self._behind = context, port
        self.handshakes, self.failures = 0, 0
        super().__init__()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        self.handshakes += 1
        try:
            secured = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            self.failures += 1
            raise
        with secured, socket.create_connection(("127.0.0.1", self._behind)) as behind:
            splice(secured, behind)


class Proxy(Door):
    """An HTTP proxy that knows CONNECT only.

    Parameters
    ----------
    hosts
        Where a name leads: the proxy is the only one to know.
    refuse
        An answer instead of a tunnel.
    """

    def __init__(self, hosts: dict[str, int], refuse: bytes | None = None) -> None:
        self.seen: list[bytes] = []
        self._hosts, self._refuse = hosts, refuse
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        request = read_request(connection)
        self.seen.append(request)
        verb, target, _ = request.split(b" ", 2)
        port = self._hosts.get(target.decode()) if verb == b"CONNECT" else None
        if self._refuse is not None or port is None:
            connection.sendall(self._refuse or head(502))
            return
        with socket.create_connection(("127.0.0.1", port)) as behind:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            splice(connection, behind)


def read_request(connection: socket.socket) -> bytes:
    """Head and body of one request."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            raise OSError("hung up")
        data += piece
    top, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in top.split(b"\r\n")[1:])
    left = int(fields.get(b"content-length", 0)) - len(body)
    while left > 0:
        left -= len(connection.recv(1 << 16)) or left
    return top


def splice(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until both sides have ended."""

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=carry, args=(other, one), daemon=True)
    back.start()
    carry(one, other)
    back.join(timeout=10)
