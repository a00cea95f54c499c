"""Calls to Narrows over kept HTTP/1.1 connections, in both eras: fast enough for load, and strict about what counts as
an answer. It says what came, and judges nothing."""

import asyncio
import contextlib
import json

STATELESS = "2026-07-28"
SESSIONS = "2025-11-25"
META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Answer:
    """What came back. `status` is 0 if no head came; `whole` if the body came to its end."""

    def __init__(self, status=0, headers=None, body=b"", whole=False, problem=None):
        self.status, self.headers, self.body = status, headers or {}, body
        self.whole, self.problem = whole, problem

    def error(self):
        """The JSON-RPC error's code; none if it is not one."""
        try:
            return json.loads(self.body)["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return None


class Caller:
    """One connection at a time to one endpoint, with one token. Not for use by two tasks at once."""

    def __init__(self, port, path, token, patience=30):
        self.port, self.path, self.patience = port, path, patience
        self.fixed = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        )
        self.reader = self.writer = self.session = None
        self.number = 0

    async def connect(self):
        """Makes sure of a connection. Raises `OSError` where nobody listens: then nothing was sent."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    def close(self):
        """Lets go of the connection, whatever is under way on it."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def call(self, tool, arguments):
        """`tools/call` without a session."""
        return await self.post(*self.stateless(tool, arguments))

    def stateless(self, tool, arguments):
        """The message of such a call, and its headers."""
        self.number += 1
        params = {"name": tool, "arguments": arguments, "_meta": META}
        headers = f"MCP-Protocol-Version: {STATELESS}\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"
        return {"jsonrpc": "2.0", "id": self.number, "method": "tools/call", "params": params}, headers

    async def call_in_session(self, tool, arguments):
        """`tools/call` in this caller's session. A session that is not known any more is forgotten."""
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        answer = await self.post(message, self.session)
        if answer.status == 404:
            self.session = None
        return answer

    async def discard(self, tool, arguments):
        """A call whose answer is read and not kept; how many bytes of it came."""
        await self.connect()
        writer, reader = self.writer, self.reader
        self.writer = self.reader = None
        writer.write(self.request(*self.stateless(tool, arguments)))
        came = 0
        # An answer that is cut off may end with a reset.
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 18):
                came += len(data)
        writer.close()
        return came

    async def initialize(self):
        """Begins a session."""
        about = {"protocolVersion": SESSIONS, "capabilities": {}, "clientInfo": {"name": "calls", "version": "1"}}
        answer = await self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about})
        if answer.status == 200 and "mcp-session-id" in answer.headers:
            self.session = f"Mcp-Session-Id: {answer.headers['mcp-session-id']}\r\nMCP-Protocol-Version: {SESSIONS}\r\n"
        return answer

    async def post(self, message, headers=""):
        """Sends a message and reads what comes. Never sends it twice."""
        text = self.request(message, headers)
        answer = Answer()
        try:
            await self.connect()
            self.writer.write(text)
            async with asyncio.timeout(self.patience):
                await self.read(answer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            answer.problem = f"{type(error).__name__}: {error}"
            self.close()
        except asyncio.CancelledError:
            self.close()
            raise
        return answer

    def request(self, message, headers):
        body = json.dumps(message, separators=(",", ":"))
        return f"{self.fixed}{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    async def read(self, answer):
        head = await self.reader.readuntil(b"\r\n\r\n")
        line, *fields = head[:-4].decode("latin-1").split("\r\n")
        answer.status = int(line.split(" ")[1])
        answer.headers = headers = {}
        for field in fields:
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        if "content-length" in headers:
            answer.body = await self.reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                answer.body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readuntil(b"\r\n")
        elif answer.status not in (202, 204):
            answer.body = await self.reader.read()
        answer.whole = True
        if headers.get("connection") == "close":
            self.close()
