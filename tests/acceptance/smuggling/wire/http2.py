"""A connection of HTTP/2: one request after the other, or whatever bytes a case wants to send."""

import asyncio
import struct

from . import frames
from .answer import Answer, NoAnswer


class Http2:
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.reader = self.writer = None

    async def exchange(self, fields, body=b"", patience=30):
        """Sends a request and reads its answer. A connection that was closed in between is made anew."""
        for attempt in (1, 2):
            fresh = self.writer is None
            if fresh:
                await self.open()
            try:
                return await asyncio.wait_for(self.once(fields, body), patience)
            except (NoAnswer, OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
                self.close()
                if fresh or attempt == 2:
                    return Answer(None, b"", f"{type(error).__name__} {error}")
        raise AssertionError

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        self.next, self.window, self.stream_window = 1, 65_535, 65_535
        self.writer.write(frames.OPENING)

    def close(self):
        if self.writer:
            self.writer.close()
            self.writer = None

    async def once(self, fields, body):
        stream, self.next = self.next, self.next + 2
        state = _Stream(stream, self.stream_window)
        head, *data = frames.request(fields, body, stream)
        self.writer.write(head)
        for piece in data:
            room = len(piece) - 9
            while min(self.window, state.window) < room and not state.ended:
                await self.hear(state)
            if state.ended:  # answered before it was all sent
                break
            self.window, state.window = self.window - room, state.window - room
            self.writer.write(piece)
        while not state.ended:
            await self.hear(state)
        return Answer(state.status, bytes(state.body), state.broken)

    async def hear(self, state):
        kind, flags, stream, payload = await read_frame(self.reader)
        if kind == frames.SETTINGS and not flags & frames.ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at : at + 6])
                if name == 0x4:
                    state.window += value - self.stream_window
                    self.stream_window = value
            self.writer.write(frames.settings(flags=frames.ACK))
        elif kind == frames.PING and not flags & frames.ACK:
            self.writer.write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif kind == frames.WINDOW_UPDATE:
            (more,) = struct.unpack(">I", payload)
            if stream == 0:
                self.window += more
            elif stream == state.stream:
                state.window += more
        elif kind == frames.GOAWAY:
            state.ended, state.broken = True, f"connection ended with {struct.unpack('>I', payload[4:8])[0]}"
            self.close()
        elif stream == state.stream:
            if kind == frames.DATA:
                self.writer.write(frames.frame(frames.WINDOW_UPDATE, 0, 0, struct.pack(">I", max(len(payload), 1))))
            state.hear(kind, flags, payload)


class _Stream:
    def __init__(self, stream, window):
        self.stream, self.window = stream, window
        self.status, self.body, self.ended, self.broken = None, bytearray(), False, None

    def hear(self, kind, flags, payload):
        if kind == frames.HEADERS and self.status is None:
            self.status = frames.status(payload)
        elif kind == frames.DATA:
            self.body += payload
        elif kind == frames.RST_STREAM:
            code = struct.unpack(">I", payload)[0]
            # An answer may end before the request does; what is reset then is the request.
            self.ended, self.broken = True, f"reset with {code}"
        if kind in (frames.HEADERS, frames.DATA) and flags & frames.END_STREAM:
            self.ended = True


async def read_frame(reader):
    head = await reader.readexactly(9)
    high, low, kind, flags, stream = struct.unpack(">BHBBI", head)
    return kind, flags, stream & 0x7FFFFFFF, await reader.readexactly(high << 16 | low)


async def send_raw(host, port, data, patience=3):
    """Sends what a case made on a connection of its own; the statuses of what was answered until the connection ends,
    every stream that was begun has ended, or nothing more comes."""
    reader, writer = await asyncio.open_connection(host, port)
    streams, said = {}, []

    async def listen():
        while not streams or not all(stream.ended for stream in streams.values()):
            kind, flags, stream, payload = await read_frame(reader)
            if kind == frames.SETTINGS and not flags & frames.ACK:
                writer.write(frames.settings(flags=frames.ACK))
            elif kind == frames.GOAWAY:
                said.append(f"connection ended with {struct.unpack('>I', payload[4:8])[0]}")
            elif stream:
                streams.setdefault(stream, _Stream(stream, 0)).hear(kind, flags, payload)

    try:
        writer.write(data)
        await asyncio.wait_for(listen(), patience)
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as failure:
        said.append(type(failure).__name__)
    finally:
        writer.close()
    answers = [
        Answer(stream.status, bytes(stream.body), stream.broken)
        for stream in streams.values()
        if stream.status is not None
    ]
    return answers or [Answer(None, b"", said[0] if said else "reset")]
