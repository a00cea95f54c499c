"""The wall clock is stepped by a day, each way, while calls come in. Nothing stands still and nothing runs unrecorded:
records keep their order, checkpoints go on, and what expires does so by the clock that there is."""

import asyncio
import os
import subprocess

from disk import served
from kit import places
from kit.record import checkpoint
from world import Load

DAY = 24 * 3600


async def stepped(world, preload, tally):
    rows = []
    for name, seconds, over, begun in [
        ("a day forward", DAY, "token_expired", "token_issued_in_future"),
        ("a day back", -DAY, "token_issued_in_future", "token_expired"),
    ]:
        problems = []
        size = checkpoint_size(world)
        # A token of eight hours, made now: over once the clock has moved on a day, or not yet begun.
        caller = world.caller(token=token(world, {}))
        before = await world.call(caller)
        preload.set_clock(seconds)
        after, reasons = await refused(world, caller)
        if (before.answer.status, after.answer.status, reasons) != (200, 401, {over: 1}):
            problems.append(f"a token of the time before: {before.answer.status}, then {after.answer.status} for {reasons}")
        # One that is good by the new clock; with it everything goes its way.
        world.token = token(world, preload.environment)
        async with Load(world, connections=8) as load:
            await asyncio.sleep(2.5)
        statuses = {call.answer.status for call in load.calls}
        if not statuses <= {200, 403} or not load.calls:
            problems.append(f"with a token of the new time: {statuses}")
        covered = checkpoint_size(world)
        if covered <= size:
            problems.append(f"no checkpoint was published: {size}, then {covered}")
        preload.set_clock(0)
        back = await world.call(caller)
        if back.answer.status != 200:
            problems.append(f"with the clock set right the token gives {back.answer.status}")
        # And the tokens of the wrong time end, or are not yet begun, in turn.
        stale, others = await refused(world, world.caller())
        if (stale.answer.status, others) != (401, {begun: 1}):
            problems.append(f"a token of the wrong time gives {stale.answer.status} for {others} when the clock is right again")
        world.token = token(world, {})
        if await world.until(served, 3) is None:
            problems.append("it does not go on")
        caller.close()
        problems += world.alive()
        tally.check(f"the clock is stepped {name}", problems)
        rows.append([name, len(load.calls), f"{after.answer.status} ({', '.join(reasons)})", covered - size])
    return rows


async def refused(world, caller):
    """A call, and the reasons for which tokens were refused in the meantime, with their numbers."""
    before = await asyncio.to_thread(world.narrows.reasons)
    call = await world.call(caller)
    return call, dict(await asyncio.to_thread(world.narrows.reasons) - before)


def token(world, environment):
    """By the clock of this environment."""
    command = [places.binary("narrows"), "token", "create", "--data-dir", world.narrows.data, "--ttl", "8h"]
    command += ["--subject", "caller@example.com", "--group", "callers"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True, timeout=30,
                          env={**os.environ, **environment})
    return done.stdout.strip()


def checkpoint_size(world):
    seen = checkpoint(world.narrows.data / "log" / "local")
    return seen[0] if seen else 0
