#!/usr/bin/env python3
"""An MCP server over HTTP that writes down each call that it executes, before it answers it, and does nothing else. It
speaks both eras, and for each path other than `/mcp` it misbehaves in the way that the path names. It is fast rather
than complete: it trusts that what it is sent is well-formed, which is what it is there to show.

The first line on stdout says where it listens. In the file that it is given stands `PATH TOOL ID` for each call, in the
order in which they came.
"""

import argparse
import asyncio
import json
import os

FILLER = b"x" * (1 << 20)


class Connection(asyncio.Protocol):
    """One connection. Requests on it are answered one after the other."""

    def __init__(self, executed):
        self.executed = executed
        self.buffer = b""
        self.task = None

    def connection_made(self, transport):
        self.transport = transport
        self.room = asyncio.Event()
        self.room.set()

    def connection_lost(self, _):
        self.room.set()
        if self.task:
            self.task.cancel()

    def pause_writing(self):
        self.room.clear()

    def resume_writing(self):
        self.room.set()

    def data_received(self, data):
        self.buffer += data
        while self.task is None and (request := self.take()):
            self.begin(*request)

    def take(self):
        """The next whole request."""
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        line, *fields = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)}
        length = int(headers.get(b"content-length", 0))
        if len(rest) < length:
            return None
        self.buffer = rest[length:]
        method, path, _ = line.decode().split(" ", 2)
        return method, path, rest[:length]

    def begin(self, method, path, body):
        message = json.loads(body) if method == "POST" else {}
        asked = message.get("method")
        if asked == "tools/call":
            params = message["params"]
            name, arguments = params["name"], params.get("arguments") or {}
            os.write(self.executed, f"{path} {name} {arguments.get('id', '-')}\n".encode())
            if path != "/mcp":
                return self.later(misbehave(self, path, message["id"]))
            if name.startswith("slow"):
                return self.later(self.slowly(message["id"]))
            if name.startswith("sse"):
                return self.events(message["id"])
            return self.answer(result(message["id"], called()))
        if asked == "initialize":
            about = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "upstream", "version": "1"}}
            return self.answer(result(message["id"], about), b"Mcp-Session-Id: s-%d\r\n" % id(self))
        if asked == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("quick", "slow", "sse")]
            return self.answer(result(message["id"], {"tools": tools}))
        if "id" in message:
            return self.answer(result(message["id"], {}))
        return self.send(b"202 Accepted", b"")

    def later(self, work):
        async def run():
            try:
                await work
            finally:
                self.task = None
            self.data_received(b"")

        self.task = asyncio.get_running_loop().create_task(run())

    async def slowly(self, number):
        # The last of the number decides, so that two runs are alike.
        await asyncio.sleep(0.02 + number % 8 * 0.02)
        self.answer(result(number, called()))

    def answer(self, message, headers=b""):
        self.send(b"200 OK", json.dumps(message).encode(), b"Content-Type: application/json\r\n" + headers)

    def events(self, number):
        """A notification, then the answer."""
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "called"}}
        body = "".join(f"data: {json.dumps(message)}\n\n" for message in (note, result(number, called())))
        self.send(b"200 OK", body.encode(), b"Content-Type: text/event-stream\r\n")

    def send(self, status, body, headers=b""):
        self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body))

    async def pour(self, data):
        """Writes, at the pace of who reads. False once nobody does."""
        if self.transport.is_closing():
            return False
        self.transport.write(data)
        await self.room.wait()
        return not self.transport.is_closing()


def result(number, value):
    return {"jsonrpc": "2.0", "id": number, "result": {"resultType": "complete", **value}}


def called():
    return {"content": [{"type": "text", "text": "done"}], "isError": False}


async def misbehave(connection, path, number):
    """Answers a call as the path says."""
    good = json.dumps(result(number, called())).encode()
    json_head = b"Content-Type: application/json\r\n"
    if path == "/hang":
        await asyncio.sleep(3600)
    elif path == "/drip":
        await connection.pour(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (json_head, len(good)))
        for byte in good:
            await asyncio.sleep(0.2)
            await connection.pour(bytes([byte]))
    elif path == "/drip-head":
        for byte in b"HTTP/1.1 200 OK\r\n":
            await asyncio.sleep(0.2)
            await connection.pour(bytes([byte]))
        await asyncio.sleep(3600)
    elif path == "/reset":
        connection.transport.abort()
    elif path.startswith("/status-"):
        connection.send(path.removeprefix("/status-").encode() + b" No", b"no", b"Content-Type: text/plain\r\n")
    elif path == "/half":
        await connection.pour(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (json_head, len(good), good[:20]))
        connection.transport.close()
    elif path == "/half-events":
        await connection.pour(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\ndata: {\"json")
        connection.transport.close()
    elif path == "/twice":
        body = b"data: %s\n\ndata: %s\n\n" % (good, good)
        connection.send(b"200 OK", body, b"Content-Type: text/event-stream\r\n")
    elif path == "/twice-http":
        connection.send(b"200 OK", good, json_head)
        connection.send(b"200 OK", good, json_head)
    elif path == "/other-id":
        connection.answer(result(number + 1, called()))
    elif path == "/other-id-events":
        body = b"data: %s\n\n" % json.dumps(result(number + 1, called())).encode()
        connection.send(b"200 OK", body, b"Content-Type: text/event-stream\r\n")
    elif path == "/huge":
        start = good[: good.index(b"done")]
        await connection.pour(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (json_head, 1 << 30, start))
        for _ in range(1 << 10):
            if not await connection.pour(FILLER):
                break
    else:
        raise ValueError(f"there is no `{path}`")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--executed", required=True, metavar="FILE")
    executed = os.open(parser.parse_args().executed, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(executed), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
