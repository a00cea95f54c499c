#!/usr/bin/env python3
"""Calls at a steady rate to servers that misbehave, or, the same calls, to one that behaves: `bad` or `good` on stdin
switches. In the meantime the part measures how another server is served. Each sort of call is as long under way as its
server's misbehaviour allows, so that in `bad` many are open at once."""

import asyncio
import itertools
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kit.calls import Caller

# Server, connections, calls a second on each, and how long the caller waits.
MIX = [
    ("hang", 16, 0.5, 2), ("drip", 8, 0.5, 2), ("drip-head", 4, 0.5, 2), ("reset", 2, 4, 5), ("status-500", 2, 4, 5),
    ("status-503", 2, 2, 5), ("half", 2, 4, 5), ("half-events", 2, 2, 5), ("twice", 2, 2, 5), ("twice-http", 2, 2, 5),
    ("other-id", 2, 2, 5), ("other-id-events", 2, 2, 5),
]


class Mode:
    bad = False


async def main():
    port = int(sys.argv[1])
    only = sys.argv[2:]
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = []
    for server, connections, rate, patience in MIX:
        if not only or server in only:
            for number in range(connections):
                name = f"{os.getpid()}-{server}-{number}"
                tasks.append(asyncio.create_task(work(port, server, name, rate, patience, number / connections)))
    switch = asyncio.create_task(follow(reader))
    done, _ = await asyncio.wait([switch, *tasks], return_when=asyncio.FIRST_COMPLETED)
    ended = [task for task in tasks if task in done]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Without one of them the mix is another, and what was measured beside it means something else.
    for task in ended:
        raise RuntimeError("calls to a server ended before they were told to") from task.exception()


async def follow(reader):
    while line := await reader.readline():
        Mode.bad = line.strip() == b"bad"


async def work(port, server, name, rate, patience, phase):
    token = os.environ["NARROWS_TOKEN"]
    bad = Caller(port, f"/mcp/dev/{server}", token, patience)
    good = Caller(port, "/mcp/dev/other", token, patience)
    due = time.monotonic() + phase / rate
    for count in itertools.count():
        await asyncio.sleep(max(0, due - time.monotonic()))
        due = max(due + 1 / rate, time.monotonic())
        caller = bad if Mode.bad else good
        try:
            await caller.call("json_read", {"id": f"{name}-{count}"})
        except OSError:
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())
