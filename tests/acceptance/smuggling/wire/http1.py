"""A connection of HTTP/1.1: one request after the other, or whatever bytes a case wants to send."""

import asyncio

from .answer import Answer, NoAnswer

# How long to listen for more after an answer, and for a first one.
QUIET, PATIENCE = 0.15, 2.5


class Http1:
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.reader = self.writer = None

    async def exchange(self, data, patience=30):
        """Sends a request and reads its answer. A connection that was closed in between is made anew."""
        for attempt in (1, 2):
            fresh = self.writer is None
            if fresh:
                self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
            try:
                self.writer.write(data)
                answer = await asyncio.wait_for(read_answer(self.reader), patience)
                if answer.headers.get("connection", "").lower() == "close":
                    self.close()
                return answer
            except (NoAnswer, OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
                self.close()
                if fresh or attempt == 2:
                    return Answer(None, b"", f"{type(error).__name__} {error}")
        raise AssertionError

    def close(self):
        if self.writer:
            self.writer.close()
            self.writer = None


async def read_answer(reader):
    """One response, interim ones passed over."""
    while True:
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise NoAnswer("the connection ended")
        status = int(line.split()[1])
        headers = {}
        while (line := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if status >= 200:
            break
    if status in (204, 304):
        body = b""
    elif "chunked" in headers.get("transfer-encoding", ""):
        body = await read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return Answer(status, body, None, headers)


async def read_chunks(reader):
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readline()).strip():
        pass
    return bytes(body)


async def send_raw(host, port, data):
    """Sends what a case made on a connection of its own; every answer until the connection ends or is quiet."""
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
    answers, error = [], None
    try:
        writer.write(data)
        while True:
            answers.append(await asyncio.wait_for(read_answer(reader), QUIET if answers else PATIENCE))
    except (NoAnswer, OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError, IndexError) as failure:
        error = type(failure).__name__
    finally:
        writer.close()
    return answers or [Answer(None, b"", error)]
