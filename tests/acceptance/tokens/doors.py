"""The ways in: each endpoint and verb, in both protocol eras, over HTTP/1.1 and HTTP/2 without TLS."""

import contextlib
import functools
import json
import socket

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from kit.wire import NOTHING, Answer, encode

# The endpoint that is knocked at.
PATH = "/mcp/dev/recorder"
JSON = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")]
STREAM = [("Accept", "text/event-stream")]
SESSION_ERA, STATELESS_ERA = "2025-11-25", "2026-07-28"


def message(method, params, number=1):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def initialize():
    about = {"protocolVersion": SESSION_ERA, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    return JSON, message("initialize", about)


def stateless_call(tool="safe_read"):
    meta = {"io.modelcontextprotocol/protocolVersion": STATELESS_ERA, "io.modelcontextprotocol/clientCapabilities": {}}
    named = [("MCP-Protocol-Version", STATELESS_ERA), ("Mcp-Method", "tools/call"), ("Mcp-Name", tool)]
    return [*JSON, *named], message("tools/call", {"name": tool, "arguments": {"path": "a"}, "_meta": meta})


def in_session(session, accept=JSON):
    return [*accept, ("Mcp-Session-Id", session), ("MCP-Protocol-Version", SESSION_ERA)]


def doors(path, session):
    """Every way to an MCP endpoint, as name, verb, target, headers, body. `session` is one that a good caller has."""
    call = message("tools/call", {"name": "safe_read", "arguments": {"path": "a"}})
    stateless_headers, stateless_body = stateless_call()
    return [
        ("POST initialize", "POST", path, *initialize()),
        ("POST in a session", "POST", path, in_session(session), call),
        ("POST stateless", "POST", path, stateless_headers, stateless_body),
        ("GET, a stream", "GET", path, in_session(session, STREAM), b""),
        ("DELETE, a session", "DELETE", path, in_session(session), b""),
        ("POST /mcp", "POST", "/mcp", stateless_headers, stateless_body),
        ("GET /mcp", "GET", "/mcp", STREAM, b""),
        ("POST to no server", "POST", "/mcp/dev/nothing", stateless_headers, stateless_body),
    ]


class Http2:
    """An HTTP/2 connection with prior knowledge; one exchange at a time."""

    name = "HTTP/2"

    def __init__(self, port, timeout=30):
        self.port, self.timeout = port, timeout
        self.socket = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.close()
        self.socket = None

    def open(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Odd headers are what this is for: the library is not to mend or refuse them.
        config = h2.config.H2Configuration(
            header_encoding=False, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        # Without Huffman coding: the library's takes minutes for a megabyte.
        self.h2.encoder.encode = functools.partial(self.h2.encoder.encode, huffman=False)
        self.h2.initiate_connection()
        self.socket.sendall(self.h2.data_to_send())

    def exchange(self, method, target, headers, body=b"", to_the_end=True):
        return self.at_once([(method, target, headers, body)], to_the_end)[0]

    def at_once(self, requests, to_the_end=True):
        """Several requests as streams of one connection. One that was closed in the meantime is opened again."""
        answers = [NOTHING] * len(requests)
        for _ in range(2):
            fresh = self.socket is None
            with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
                if fresh:
                    self.open()
                self.once(requests, answers, to_the_end)
            if all(answer.status for answer in answers):
                return answers
            self.close()
            if fresh:
                break
        return answers

    def once(self, requests, answers, to_the_end):
        open_streams = {}
        for place, (method, target, headers, body) in enumerate(requests):
            stream = self.h2.get_next_available_stream_id()
            open_streams[stream] = place
            named = [(encode(name).lower(), encode(value)) for name, value in headers]
            # A Host of the test's own is the authority: so it is in HTTP/2.
            host = next((value for name, value in named if name == b"host"), f"127.0.0.1:{self.port}".encode())
            pseudo = ((b":method", method), (b":scheme", "http"), (b":authority", host), (b":path", target))
            fields = [(name, encode(value)) for name, value in pseudo]
            self.h2.send_headers(stream, fields + [pair for pair in named if pair[0] != b"host"], end_stream=not body)
            if body:
                self.h2.send_data(stream, body, end_stream=True)
            self.socket.sendall(self.h2.data_to_send())
        while open_streams:
            data = self.socket.recv(65536)
            if not data:
                return
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ConnectionTerminated):
                    return
                stream = getattr(event, "stream_id", None)
                if stream not in open_streams:
                    continue
                place = open_streams[stream]
                if isinstance(event, h2.events.ResponseReceived):
                    got = [(name, value) for name, value in event.headers if not name.startswith(b":")]
                    answers[place] = Answer(int(dict(event.headers)[b":status"]), got, b"")
                    if not to_the_end:
                        self.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
                        del open_streams[stream]
                elif isinstance(event, h2.events.DataReceived):
                    answers[place] = answers[place]._replace(body=answers[place].body + event.data)
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                    del open_streams[stream]
            self.socket.sendall(self.h2.data_to_send())
