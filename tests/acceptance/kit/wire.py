"""HTTP/1.1 as bytes: what a test sends is what goes out, header by header, however odd. Responses are read by their
framing alone and kept whole, so that a test can look through every byte of them."""

import contextlib
import socket
from typing import NamedTuple


class Answer(NamedTuple):
    status: int  # 0: no response came
    headers: list  # of (name in lower case, value), both bytes, as they came
    body: bytes

    def header(self, name):
        """The value of a header; of several, the first."""
        return next((value for key, value in self.headers if key == name), None)

    def every_byte(self):
        return b"\r\n".join(name + b": " + value for name, value in self.headers) + b"\r\n\r\n" + self.body


NOTHING = Answer(0, [], b"")


def head(method, target, headers, host):
    """The bytes of a request's head. `headers` is a list of pairs; a Host of its own replaces the usual one."""
    lines = [f"{method} {target} HTTP/1.1".encode()]
    if not any(encode(name).lower() == b"host" for name, _ in headers):
        lines.append(b"Host: " + encode(host))
    lines += [encode(name) + b": " + encode(value) for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def encode(text):
    return text if isinstance(text, bytes) else text.encode()


class Http1:
    """A connection that is kept while both sides like, and opened again when they don't."""

    name = "HTTP/1.1"

    def __init__(self, port, timeout=30, address="127.0.0.1"):
        self.port, self.timeout, self.address = port, timeout, address
        self.socket = self.file = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for thing in (self.file, self.socket):
            if thing is not None:
                with contextlib.suppress(OSError):
                    thing.close()
        self.socket = self.file = None

    def exchange(self, method, target, headers, body=b"", to_the_end=True):
        """Sends a request and reads the response; with `to_the_end` false only its head, leaving the rest to
        `file`. A connection that was closed between two requests is opened again, once."""
        headers = list(headers)
        if body or method == "POST":
            headers.append(("Content-Length", str(len(body))))
        request = head(method, target, headers, f"{self.address}:{self.port}") + body
        fresh = self.socket is None
        answer = self.raw(request, method, to_the_end)
        return self.raw(request, method, to_the_end) if answer.status == 0 and not fresh else answer

    def raw(self, request, method="POST", to_the_end=True):
        """Sends these bytes and reads one response."""
        try:
            if self.socket is None:
                self.open()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.socket.sendall(request)  # whoever refuses early may not read the rest
            return self.read(method, to_the_end)
        except OSError:
            self.close()
            return NOTHING

    def at_once(self, requests, others):
        """Several requests on as many connections, this one and `others`, all sent before any answer is read."""
        clients = [self, *others]
        for client, (method, target, headers, body) in zip(clients, requests, strict=True):
            client.send(method, target, headers, body)
        return [client.receive(*request) for client, request in zip(clients, requests)]

    def send(self, method, target, headers, body=b""):
        headers = [*headers, ("Content-Length", str(len(body)))] if method == "POST" else headers
        try:
            if self.socket is None:
                self.open()
            self.socket.sendall(head(method, target, headers, f"{self.address}:{self.port}") + body)
        except OSError:
            self.close()

    def receive(self, method, target, headers, body=b""):
        """The answer to what was sent; asked again if the connection had been closed before it came."""
        try:
            answer = self.read(method) if self.socket else NOTHING
        except OSError:
            answer = NOTHING
        if answer.status == 0:
            self.close()
            return self.exchange(method, target, headers, body)
        return answer

    def open(self):
        self.socket = socket.create_connection((self.address, self.port), self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def read(self, method, to_the_end=True):
        status_line = self.file.readline(65536)
        if not status_line.startswith(b"HTTP/1."):
            self.close()
            return NOTHING
        status = int(status_line.split()[1])
        headers = []
        while (line := self.file.readline(65536)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.rstrip(b"\r\n").partition(b":")
            headers.append((name.strip().lower(), value.strip()))
        named = dict(headers)
        if status == 100:
            return self.read(method, to_the_end)
        if not to_the_end:
            return Answer(status, headers, b"")
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif named.get(b"transfer-encoding", b"").lower() == b"chunked":
            body = b"".join(self.chunks())
        elif b"content-length" in named:
            body = self.file.read(int(named[b"content-length"]))
        else:
            body = self.file.read()
            self.close()
        if named.get(b"connection", b"").lower() == b"close":
            self.close()
        return Answer(status, headers, body)

    def chunks(self):
        while size := int(self.file.readline(1024).split(b";")[0] or b"0", 16):
            yield self.file.read(size)
            self.file.readline(8)
        while self.file.readline(65536) not in (b"\r\n", b"\n", b""):
            pass
