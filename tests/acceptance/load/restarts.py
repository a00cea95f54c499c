"""Fifty graceful restarts while calls come at a steady rate, and none of them fails. This plays the service manager: it
holds the listening socket, ends one process with SIGTERM and starts the next."""

import random
import socket
import time

from kit.tally import table
from stage import Stage

RESTARTS = 50
RATE = 500
STREAMS = 20
# Between a start and the next end, in seconds.
BETWEEN = (0.1, 0.5)


def run(processes, directory, tally, _options):
    seed = random.randrange(1 << 32)
    print(f"restarts: seed {seed}")
    chance = random.Random(seed)
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", 0))
        door.listen(4096)
        stage = Stage(processes, directory, door)
        begin = time.monotonic()
        calls = stage.load("calls", "--rate", RATE, "--http1", 32, "--http2", 4, tokens=stage.honest)
        calls.ready()
        downs, codes, ends = [], [], []
        for _ in range(RESTARTS):
            time.sleep(chance.uniform(*BETWEEN))
            streams = stage.load("streams", "--http1", STREAMS // 2, "--http2", STREAMS // 2)
            opened = streams.ready()
            down = time.monotonic()
            codes.append(stage.narrows.stop())
            stopped = time.monotonic()
            stage.narrows.start()
            stage.narrows.ready()
            downs.append((stopped - down, time.monotonic() - stopped))
            ended = streams.end()["ended"]
            ends.append(None if opened["open"] == STREAMS and ended == {"told to come again": STREAMS}
                        else f"{opened}, ended as {ended}")
        time.sleep(1)
        seen = calls.end()
        took = time.monotonic() - begin
        code = stage.narrows.stop()
    row = [RESTARTS, seen["ok"], f"{seen['ok'] / took:.0f}", sum(seen["failed"].values())]
    row += [seen[name] for name in ("p50", "p99", "p999", "max")]
    table(["restarts", "calls", "a second", "failed", "p50 ms", "p99", "p99.9", "max"], [row])
    stops, starts = sorted(stop for stop, _ in downs), sorted(start for _, start in downs)
    middle = len(downs) // 2
    print(f"to stop: {stops[middle] * 1000:.0f} ms (most {stops[-1] * 1000:.0f}); "
          f"to be ready: {starts[middle] * 1000:.0f} ms (most {starts[-1] * 1000:.0f}); {seen['noted']}")
    problems = [f"{count} x {reason}" for reason, count in seen["failed"].items()]
    if seen["noted"].get("closed without a word"):
        problems.append(f"{seen['noted']['closed without a word']} connections were closed without a word")
    if seen["ok"] < 0.95 * RATE * took:
        problems.append(f"only {seen['ok']} calls were made in {took:.1f} s")
    tally.check(f"{RESTARTS} restarts, and no call fails", problems)
    tally.check("each process ends in order", None if set(codes + [code]) == {0} else f"exit codes {codes + [code]}")
    tally.check("streams are told to come again", sorted({end for end in ends if end}))
