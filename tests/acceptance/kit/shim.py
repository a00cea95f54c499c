#!/usr/bin/env python3
"""A loopback reverse proxy that adds a bearer token and touches nothing else, for
clients that can't send one. Bodies stream both ways as they come, so that events
and disconnects pass at once; each request has its own connection upstream. The
first line on stdout says where it listens. The token is in NARROWS_TOKEN; without
one, nothing is added."""

import argparse
import asyncio
import os

OWN = (b"authorization:", b"connection:", b"keep-alive:")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=int, required=True, metavar="PORT")
    upstream = parser.parse_args().to
    token = os.environ.get("NARROWS_TOKEN")
    added = [b"Connection: close"] + ([f"Authorization: Bearer {token}".encode()] if token else [])

    async def serve(reader, writer):
        try:
            await exchange(reader, writer, upstream, added)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def exchange(reader, writer, upstream, added):
    head = await reader.readuntil(b"\r\n\r\n")
    request, *headers = head[:-4].split(b"\r\n")
    kept = [header for header in headers if not header.lower().startswith(OWN)]
    up_reader, up_writer = await asyncio.open_connection("127.0.0.1", upstream)
    up_writer.write(b"\r\n".join([request, *kept, *added]) + b"\r\n\r\n")
    # The client's side may end first (it hung up: hang up too) or the server's (the answer is complete).
    sides = [asyncio.create_task(pour(reader, up_writer)), asyncio.create_task(pour(up_reader, writer))]
    try:
        await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for side in sides:
            side.cancel()
        up_writer.close()


async def pour(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
