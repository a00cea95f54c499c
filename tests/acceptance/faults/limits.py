"""The process comes to its limits: no more file descriptors, no more memory."""

import asyncio
import contextlib
import os
import pathlib
import resource
import time

from disk import RECOVERY, seconds_text, served
from world import Load

# How the gateway says that a server can't be reached.
UNAVAILABLE = (503, -31503)


async def descriptors(world, tally):
    """No file can be opened any more, neither a connection nor a segment. Kept connections are answered, with 503 where
    a connection to the server would be needed; nothing runs unrecorded; when there are files again, all goes on."""
    soft, hard = resource.prlimit(world.pid, resource.RLIMIT_NOFILE)
    # These have no connection to their server yet.
    strangers = [world.caller("other") for _ in range(4)]
    for caller in strangers:
        await caller.connect()
    async with Load(world, connections=8) as load:
        await asyncio.sleep(0.5)
        taken = len(os.listdir(f"/proc/{world.pid}/fd"))
        resource.prlimit(world.pid, resource.RLIMIT_NOFILE, (taken, hard))
        begin = time.monotonic()
        # These wait in the kernel's queue, and must not be lost to an error that ends the listener.
        waiting = [world.caller() for _ in range(32)]
        opening = [asyncio.create_task(world.call(caller)) for caller in waiting]
        refused = [await world.call(caller) for caller in strangers]
        await asyncio.sleep(1.5)
        burned = cpu(world.pid)
        await asyncio.sleep(1)
        burned = cpu(world.pid) - burned
        resource.prlimit(world.pid, resource.RLIMIT_NOFILE, (soft, hard))
        end = time.monotonic()
        recovered = await world.until(served, RECOVERY + 8)
        late = await asyncio.gather(*opening)
        for caller in waiting + strangers:
            caller.close()
    within = [call for call in load.calls if begin <= call.sent < end and call.kind != "denied"]
    odd = [f"{call.identity}: {call.answer.status} {call.answer.problem or ''}" for call in within
           if call.answer.status not in (200, 503)]
    # One that was accepted meanwhile was told that its server could not be reached; the others waited.
    lost = [f"{call.identity}: {call.answer.status} {call.answer.problem or ''}" for call in late
            if call.answer.status != 200 and not (call.done < end and is_unavailable(call))]
    served_late = sum(call.answer.status == 200 for call in late)
    problems = world.alive() + odd[:3] + lost[:3]
    said = {(call.answer.status, call.answer.error()) for call in refused}
    if said != {UNAVAILABLE}:
        problems.append(f"calls that need a new connection to a server were answered with {said}")
    if not served_late:
        problems.append("no connection waited")
    if not any(call.answer.status == 200 for call in within):
        problems.append("connections that were there were not served")
    if recovered is None or recovered > RECOVERY:
        problems.append(f"it went on after {recovered} s")
    tally.check("no more file descriptors", problems)
    print(f"without file descriptors: {len(within)} calls on kept connections, {len(refused)} refused that needed another to "
          f"their server, {burned:.2f} s of CPU in a "
          f"second, went on after {seconds_text(recovered)}, {served_late} connections that waited were served")


def is_unavailable(call):
    return (call.answer.status, call.answer.error()) == UNAVAILABLE


async def large(caller, number, filler):
    """A call without an id for the oracle; nothing but its size is of interest."""
    return await caller.call("json_read", {"number": number, "filler": filler})


def cpu(pid):
    """Seconds of CPU that it has used."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid):
    """MiB of memory that it had at most."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


# What the process has in memory at most while everything that takes much of it comes at once, in MiB.
ENOUGH = 256
# MiB of a longer answer that are passed on: up to the limit, less what a reset takes from a reader's buffers, and a head.
PASSED_ON = (250, 257)


async def memory(world, tally):
    """Answers of 1 GB, some of which nobody reads, the largest bodies that are taken, and calls beside them. All of it is
    bounded."""
    before = peak(world.pid)
    # Of the room for bodies each has a share, which eight of the largest are more than.
    tokens = [world.narrows.token(f"large-{number}@example.com", "callers") for number in range(8)]
    unread = [world.caller("huge", world.bad_token) for _ in range(8)]
    for number, caller in enumerate(unread):
        await caller.connect()
        sending = asyncio.create_task(caller.call("json_read", {"id": f"unread-{number}"}))
        # The head comes, and then nobody reads on.
        await asyncio.sleep(0.05)
        caller.writer.transport.pause_reading()
        sending.cancel()
    async with Load(world, connections=8) as load:
        filler = ["x" * 65000] * 64
        callers = [world.caller("other", token, 120) for token in tokens]
        answers = await asyncio.gather(*(large(caller, number, filler) for number, caller in enumerate(callers)))
        huge = world.caller("huge", world.bad_token, 60)
        cut = await huge.discard("json_read", {"id": "discarded"})
        await asyncio.sleep(0.5)
    for caller in unread + callers:
        caller.close()
    problems = world.alive()
    after = peak(world.pid)
    if after > ENOUGH:
        problems.append(f"it took {after:.0f} MiB")
    odd = [call for call in load.calls if call.answer.status not in (200, 403)]
    problems += [f"{call.identity}: {call.answer.status} {call.answer.problem or ''}" for call in odd[:3]]
    refused = [answer for answer in answers if answer.status != 200]
    problems += [f"a body of 4 MiB was answered with {answer.status} {answer.problem or ''}" for answer in refused[:3]]
    least, most = PASSED_ON
    if not least <= cut / (1 << 20) <= most:
        problems.append(f"of an answer of 1 GB {cut / (1 << 20):.1f} MiB came, not {least} to {most}")
    tally.check(f"everything large at once, within {ENOUGH} MiB", problems)
    print(f"memory: at most {before:.0f} MiB before, {after:.0f} MiB with 9 answers of 1 GB, of which 8 are not read, "
          f"8 bodies of 4 MiB and {len(load.calls)} calls; of 1 GB {cut >> 20} MiB are passed on")


def recorded(world, tally):
    """The answer that was cut off is not recorded as one that went well."""
    status = world.oracle.ends.get(world.oracle.digest('{"id":"discarded"}'))
    tally.check("an answer that is too long is recorded as an error", [] if status == "error" else [f"as `{status}`"])


async def out_of_memory(world, tally):
    """No memory at all is left. If the process ends, it is as by a kill; the next start closes what was open."""
    async with Load(world, connections=8):
        await asyncio.sleep(0.3)
        group = confine(world.pid, 8 << 20)
        if group is None:
            resource.prlimit(world.pid, resource.RLIMIT_DATA, (1 << 20, resource.RLIM_INFINITY))
        filler = ["x" * 65000] * 62
        callers = [world.caller("other", world.bad_token, 5) for _ in range(16)]
        calls = [large(caller, -number, filler) for number, caller in enumerate(callers, 1)]
        await asyncio.gather(*calls, return_exceptions=True)
        for caller in callers:
            caller.close()
        deadline = time.monotonic() + 3
        while world.narrows.process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
    code = world.narrows.process.poll()
    if code is None:
        # It got by with what it had; nothing is wrong with that.
        release(world.pid, group)
    else:
        world.restart()
        release(None, group)
    recovered = await world.until(served, 10)
    tally.check("no memory is left", [] if recovered is not None else ["it does not serve again"])
    how = "a control group" if group else "`RLIMIT_DATA`"
    print(f"without memory ({how}): {'the process lived' if code is None else f'the process ended with {code}'}, and served again")


def confine(pid, size):
    """Lets the kernel give the process no more memory than this in addition, with a control group; none where there can
    be none."""
    base = pathlib.Path("/sys/fs/cgroup")
    unified = (base / "cgroup.controllers").exists()
    group = (base if unified else base / "memory") / f"narrows-faults-{pid}"
    try:
        group.mkdir()
        (group / ("memory.max" if unified else "memory.limit_in_bytes")).write_text(str(size))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        return None
    return group


def release(pid, group):
    """Takes the limit back."""
    if group is None and pid is not None:
        resource.prlimit(pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if group is not None:
        if pid is not None:
            (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()
