#!/usr/bin/env python3
"""Calls of several kinds over many connections, at a steady rate, for as long as it is not told to end; while nobody
listens it waits for somebody who does. One line for each call that was sent: `ID KIND STATUS whole|cut`. SIGTERM lets
what is under way come to its end."""

import argparse
import asyncio
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kit.calls import Caller

# How often each kind is called.
KINDS = {"json": 40, "sse": 20, "slow": 10, "session": 20, "denied": 10}
TOOLS = {"json": "json_read", "sse": "sse_read", "slow": "slow_read", "session": "json_read", "denied": "admin_delete"}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--calls", required=True, metavar="FILE")
    parser.add_argument("--rate", type=float, required=True, metavar="PER_SECOND")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    calls = os.open(options.calls, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    token = os.environ["NARROWS_TOKEN"]
    interval = options.connections / options.rate
    async with asyncio.TaskGroup() as group:
        for number in range(options.connections):
            caller = Caller(options.port, options.path, token)
            chance = random.Random(f"{options.seed}-{number}")
            group.create_task(work(caller, f"w{number}", interval, chance, calls, ending))


async def work(caller, name, interval, chance, calls, ending):
    kinds, weights = list(KINDS), list(KINDS.values())
    sent, due = 0, time.monotonic() + chance.random() * interval
    while not ending.is_set():
        now = time.monotonic()
        if due > now:
            await asyncio.sleep(due - now)
        # What could not be sent in time is not made up for.
        due = max(due, now - interval) + interval * chance.uniform(0.5, 1.5)
        try:
            await caller.connect()
        except OSError:
            await asyncio.sleep(0.01)
            continue
        (kind,) = chance.choices(kinds, weights)
        if kind == "session" and caller.session is None:
            await caller.initialize()
            continue
        sent += 1
        identity = f"{name}-{sent}"
        call = caller.call_in_session if kind == "session" else caller.call
        answer = await call(TOOLS[kind], {"id": identity})
        os.write(calls, f"{identity} {kind} {answer.status} {'whole' if answer.whole else 'cut'}\n".encode())
    caller.close()


if __name__ == "__main__":
    asyncio.run(main())
