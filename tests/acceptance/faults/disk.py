"""The disk fails under load. While a record can't be written nothing runs, each call is refused as such, and when it can
be written again service goes on by itself."""

import asyncio
import contextlib
import errno
import resource
import time

from preload import CREATE, EVERYTHING, RENAME, SYNC, TRUNCATE, WRITE
from world import UNRECORDED, Load

# Service goes on so soon after the disk works again.
RECOVERY = 2.0
# The gateway gives a record so long to become durable.
PATIENCE = 5.0
SEGMENT = "segment-"

# What fails, for how long (seconds) and how: `calls`, `error`, `part` and `name` as in faults.c.
FAILING = {
    "disk full": dict(calls=WRITE, error=errno.ENOSPC),
    "disk full in the middle of a record": dict(calls=WRITE, error=errno.ENOSPC, part=100, name=SEGMENT),
    "quota used up": dict(calls=WRITE, error=errno.EDQUOT),
    "I/O error on writing": dict(calls=WRITE, error=errno.EIO, name=SEGMENT),
    "read-only": dict(calls=WRITE | CREATE | TRUNCATE | RENAME, error=errno.EROFS),
    "failing sync": dict(calls=SYNC, error=errno.EIO, name=SEGMENT),
    "failing sync, also of checkpoints and databases": dict(calls=SYNC, error=errno.EIO),
    "failing sync, and no new segment can be made": dict(calls=SYNC | CREATE, error=errno.EIO, name=SEGMENT),
    "failing write, and what it left can't be cut off": dict(calls=WRITE | TRUNCATE, error=errno.EIO, name=SEGMENT, part=50),
    "everything fails": dict(calls=EVERYTHING, error=errno.EIO),
    "hanging sync": dict(calls=SYNC, hang=60, name=SEGMENT),
    "hanging write": dict(calls=WRITE, hang=60, name=SEGMENT),
}
# One call fails, then all is well.
ONCE = {
    "one write fails": dict(calls=WRITE, error=errno.ENOSPC, name=SEGMENT),
    "one write comes short": dict(calls=WRITE, error=errno.EIO, name=SEGMENT, part=100, times=2),
    "one sync fails": dict(calls=SYNC, error=errno.EIO, name=SEGMENT),
}


async def failing(world, preload, tally, seconds):
    """Each kind, on the same process; how each went, as rows for a table."""
    rows = []
    for name, order in FAILING.items():
        hangs = "hang" in order
        lasting = PATIENCE + 2.5 if hangs else seconds
        async with Load(world) as load:
            await asyncio.sleep(0.3)
            with during(world, load) as window:
                with preload.faulty(**order):
                    window.begins()
                    await asyncio.sleep(lasting)
                    window.met = preload.met()
                    window.ready = await world.ready()
                    window.ends()
                window.recovered = await world.until(served, RECOVERY + 8)
                await asyncio.sleep(0.2)
        problems = window.problems() + ([] if window.met else ["nothing met the order"])
        tally.check(name, problems)
        rows.append([name, *window.row()])
    return rows


async def once(world, preload, tally):
    """A single failure refuses those calls that wait for it and no others."""
    rows = []
    for name, order in ONCE.items():
        async with Load(world) as load:
            await asyncio.sleep(0.3)
            # What is written without being waited for refuses nobody when it fails, and is written again.
            for attempt in range(1, 21):
                preload.order(**{"times": 1, **order})
                begin = time.monotonic()
                await asyncio.sleep(0.4)
                recovered = await world.until(served, RECOVERY + 8)
                met = preload.met()
                preload.order()
                since = [call for call in load.calls if call.sent >= begin and call.kind != "denied"]
                refused = [call for call in since if call.answer.status == 503]
                if refused:
                    break
        problems = world.alive() + unlike(refused)
        if not met or not refused:
            problems.append(f"nothing was refused; {met} calls met the last of {attempt} orders")
        # Those of one batch, and no more than wait at once.
        if len(refused) > load.connections:
            problems.append(f"{len(refused)} calls were refused for one failure")
        if recovered is None or recovered > RECOVERY:
            problems.append(f"it went on after {recovered} s")
        problems += ran(world, refused)
        tally.check(name, problems)
        executed = [call for call in refused if call.identity in world.executions()]
        rows.append([name, len(since), len(refused), len(executed), seconds_text(recovered)])
    return rows


async def slow(world, preload, tally):
    """A sync that takes a second is waited for: slow, and nobody is refused."""
    async with Load(world) as load:
        await asyncio.sleep(0.3)
        with preload.faulty(calls=SYNC, hang=1, name=SEGMENT):
            begin = time.monotonic()
            await asyncio.sleep(2.5)
        await asyncio.sleep(0.3)
    since = [call for call in load.calls if call.sent >= begin and call.kind != "denied"]
    bad = [call.answer.status for call in since if call.answer.status != 200]
    problems = world.alive() + ([f"answered with {bad[:5]}"] if bad else [])
    if not since or max(call.done - call.sent for call in since) < 0.9:
        problems.append("no call waited")
    tally.check("a sync that takes a second", problems)
    return [["a sync that takes a second", len(since), len(bad), 0, "-"]]


async def file_size(world, tally):
    """A limit on the size of files, as a shell or a service manager sets it: the kernel's own refusal."""
    hard = resource.prlimit(world.pid, resource.RLIMIT_FSIZE)[1]
    async with Load(world) as load:
        await asyncio.sleep(0.3)
        with during(world, load) as window:
            resource.prlimit(world.pid, resource.RLIMIT_FSIZE, (0, hard))
            window.begins()
            await asyncio.sleep(1)
            window.ready = await world.ready()
            window.ends()
            if not world.alive():
                resource.prlimit(world.pid, resource.RLIMIT_FSIZE, (hard, hard))
                window.recovered = await world.until(served, RECOVERY + 8)
    tally.check("a limit on the size of files is reached", window.problems())
    return [["a limit on the size of files is reached", *window.row()]]


async def full(world, mount, tally):
    """A small file system that is really full."""
    ballast = mount / "ballast"
    async with Load(world) as load:
        await asyncio.sleep(0.5)
        with during(world, load) as window:
            fill(ballast)
            await world.until(refused_unrecorded)
            window.begins()
            await asyncio.sleep(1.5)
            window.ready = await world.ready()
            window.ends()
            ballast.unlink()
            window.recovered = await world.until(served, RECOVERY + 8)
            await asyncio.sleep(0.3)
    tally.check("a file system that is really full", window.problems())
    return [["a file system that is really full", *window.row()]]


def fill(path):
    """Takes all the room that there is."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


@contextlib.contextmanager
def during(world, load):
    yield Window(world, load)


class Window:
    """The time in which nothing can be recorded."""

    def __init__(self, world, load):
        self.world, self.load = world, load
        self.ready = self.recovered = None
        self.begin = self.end = self.executed = None
        self.met = 0

    def begins(self):
        self.begin = time.monotonic()

    def ends(self):
        """Called while it still lasts."""
        self.executed = set(self.world.executions())
        self.end = time.monotonic()

    def calls(self):
        """Those that were sent within it. Denied calls are denied whether or not that can be recorded."""
        return [call for call in self.load.calls if self.begin <= call.sent < self.end and call.kind != "denied"]

    def problems(self):
        sent = self.calls()
        answered = [call for call in sent if call.done < self.end]
        refused = [call for call in sent if call.answer.status == 503]
        problems = self.world.alive()
        if len(refused) < self.load.connections // 4:
            problems.append(f"only {len(refused)} calls were refused")
        problems += [f"{call.identity} ran" for call in sent if call.identity in self.executed][:3]
        problems += unlike(answered) + ran(self.world, refused)
        if self.ready != 503:
            problems.append(f"/readyz said {self.ready}")
        if self.recovered is None or self.recovered > RECOVERY:
            problems.append(f"it went on after {self.recovered} s")
        return problems

    def row(self):
        sent = self.calls()
        refused = [call for call in sent if call.answer.status == 503]
        executed = [call for call in sent if call.identity in self.executed]
        return [len(sent), len(refused), len(executed), seconds_text(self.recovered)]


def unlike(calls):
    """Answers that are not the refusal of what can't be recorded."""
    found = []
    for call in calls:
        said = (call.answer.status, call.answer.error())
        if said != UNRECORDED:
            found.append(f"{call.identity} was answered with {said}: {call.answer.body[:200]!r} {call.answer.problem or ''}")
        elif "retry-after" not in call.answer.headers:
            found.append(f"{call.identity} was refused without `Retry-After`")
        elif b"not forwarded" not in call.answer.body:
            found.append(f"{call.identity} was refused with {call.answer.body[:200]!r}")
    return found[:3]


def ran(world, refused):
    """Refused calls that ran nevertheless, then or later."""
    executed = world.executions()
    return [f"{call.identity} was refused and ran" for call in refused if call.identity in executed][:3]


def served(call):
    return call.answer.status == 200


def refused_unrecorded(call):
    return (call.answer.status, call.answer.error()) == UNRECORDED


def seconds_text(seconds):
    return "never" if seconds is None else f"{seconds:.2f} s"
