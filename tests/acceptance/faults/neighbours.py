"""How one server is served while others misbehave, beside how it is served while they behave: short windows of both in
turn, the 99th percentile of each, and the medians of these. Noise of the machine strikes both alike; where the bound is
missed, more windows are measured before it counts as missed."""

import asyncio
import collections
import gc
import pathlib
import random
import statistics
import time

from kit.processes import Failed
from kit.record import Lines
from neighbour import MIX

HERE = pathlib.Path(__file__).resolve().parent
# Promised: the p99 of a healthy server rises by less than this.
BOUND = 1.2
WINDOW = 2.0
RATE, CONNECTIONS = 150, 6
# Pairs of windows after which it is looked at; what does not hold after the last does not hold.
LOOKS = (12, 20, 32)
# Until what was under way in the other mode is over.
PAUSE = 0.4
# Of the calls that the mix makes in the windows of a mode, so many reach their servers at least: one call may wait for
# the last of the other mode, and a machine may be slow, but a neighbour that stands still shows nothing.
REACHED = 0.5


async def measure(world, tally, processes, chance, looks=LOOKS, only=()):
    neighbour = processes.start(
        "neighbour", [HERE / "neighbour.py", world.narrows.port, *only], {"NARROWS_TOKEN": world.bad_token}, piped=True
    )
    lines = Lines(world.executed_bad)
    lines.read()
    windows = {"good": [], "bad": []}
    counts = {"good": 0, "bad": 0}
    odd = []
    gc.collect()
    gc.disable()
    try:
        await window(world, odd)
        for pair in range(1, looks[-1] + 1):
            order = ["good", "bad"]
            chance.shuffle(order)
            for mode in order:
                if neighbour.poll() is not None:
                    raise Failed(f"the neighbour has ended: {processes.last_words(neighbour)}")
                neighbour.stdin.write(f"{mode}\n".encode())
                neighbour.stdin.flush()
                await asyncio.sleep(PAUSE)
                times = await window(world, odd)
                windows[mode].append(percentile(times, 0.99))
                counts[mode] += len(times)
            ratio = statistics.median(windows["bad"]) / statistics.median(windows["good"])
            if pair in looks and ratio < BOUND:
                break
    finally:
        gc.enable()
        neighbour.stdin.close()
    ended = await asyncio.to_thread(neighbour.wait, 15)
    problems = world.alive() + odd[:3] + idle(lines.read(), pair, only)
    if ended != 0:
        problems.append(f"the neighbour ended with {ended}: {processes.last_words(neighbour)}")
    processes.end(neighbour)
    if ratio >= BOUND:
        problems.append(f"the p99 rises by {ratio - 1:.0%} in {pair} pairs of windows; less than {BOUND - 1:.0%} is promised")
    name = ", ".join(only) or "servers"
    tally.check(f"a healthy server's p99 while {name} misbehave", problems)
    good, bad = (statistics.median(windows[mode]) * 1000 for mode in ("good", "bad"))
    spread = statistics.quantiles(windows["good"], n=4)
    print(f"p99 of a healthy server: {good:.2f} ms while the others behave (quartiles {spread[0] * 1000:.2f} to "
          f"{spread[2] * 1000:.2f}), {bad:.2f} ms while {name} misbehave: {ratio - 1:+.1%}; {pair} pairs of windows, "
          f"{counts['good']} and {counts['bad']} calls", flush=True)


def idle(lines, pairs, only):
    """The servers that were called so seldom that nothing was shown beside them, by what they wrote down: each of those
    that misbehave, and the one that behaves instead."""
    called = collections.Counter(line.split(" ")[0] for line in lines)
    a_second = {f"/{server}": connections * rate for server, connections, rate, _ in MIX if not only or server in only}
    a_second["/mcp"] = sum(a_second.values())
    least = {path: int(rate * (WINDOW + PAUSE) * pairs * REACHED) for path, rate in a_second.items()}
    return [f"`{path}` was called {called[path]} times, less than {number}" for path, number in least.items()
            if called[path] < number]


async def window(world, odd):
    """Latencies at a steady rate."""
    times = []
    end = time.monotonic() + WINDOW

    async def work(number):
        caller = world.caller(patience=10)
        chance = random.Random(number)
        due = time.monotonic() + chance.random() * CONNECTIONS / RATE
        while due < end and time.monotonic() < end:
            await asyncio.sleep(max(0, due - time.monotonic()))
            call = await world.call(caller)
            # From when it was due: a wait for the call before is part of it.
            times.append(call.done - due)
            if call.answer.status != 200:
                odd.append(f"a healthy call was answered with {call.answer.status} {call.answer.problem or ''}")
            due += CONNECTIONS / RATE
        caller.close()

    await asyncio.gather(*(work(number) for number in range(CONNECTIONS)))
    return times


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]
