"""What a session with an open stream costs in memory: the slope between 1,000 and 4,000 of them, so that what is there
once does not count. And what the process has in use when nothing happens."""

import time

from stage import Stage, mib

IDLE = 20_000_000
PER_STREAM = 25 * 1024
FIRST, MORE = 1000, 3000


def run(processes, directory, tally, _options):
    for name in ("http1", "http2"):
        # A process of its own: memory that an earlier one left to the allocator would be used again.
        place = directory / name
        place.mkdir()
        stage = Stage(processes, place)
        idle = quiet(stage)
        print(f"idle: {mib(idle)} MiB resident ({mib(stage.status('RssAnon'))} of its own, the rest files)")
        tally.check(f"an idle process is small ({name})", None if idle <= IDLE else f"{idle} bytes are more than {IDLE}")
        loads = [stage.load("streams", f"--{name}", FIRST)]
        problems = missing(loads[0].ready(), FIRST)
        first = quiet(stage)
        loads.append(stage.load("streams", f"--{name}", MORE))
        problems += missing(loads[1].ready(), MORE)
        all_of_them = quiet(stage)
        slope = (all_of_them - first) / MORE
        print(f"{name}: with {FIRST} streams {mib(first)} MiB, with {FIRST + MORE} {mib(all_of_them)}: "
              f"{slope / 1024:.1f} KiB for each")
        if slope > PER_STREAM:
            problems.append(f"{slope:.0f} bytes for each session and stream are more than {PER_STREAM}")
        for load in loads:
            load.end()
        tally.check(f"a session with a stream over {name} takes little memory", problems)
        stage.settled(40)
        print(f"{name}: after the streams {mib(quiet(stage))} MiB")
        stage.narrows.stop()


def missing(said, wanted):
    return [] if said["open"] == wanted else [f"{said['open']} of {wanted} streams open: {said['failed']}"]


def quiet(stage):
    """Memory once it does not change any more."""
    last, same = stage.resident(), 0
    for _ in range(60):
        time.sleep(0.1)
        now = stage.resident()
        same = same + 1 if now == last else 0
        if same == 5:
            break
        last = now
    return last
