"""The files behind Narrows are held or replaced by somebody else: its databases and its log."""

import asyncio
import json
import os
import sqlite3
import time

from disk import RECOVERY, Window, served
from kit import gateway
from world import Load


async def locked(world, tally):
    """Another process holds both databases. Calls don't need them; a change of the resources does, and is put in force
    once it can be saved."""
    names = [world.narrows.data / "narrows.db", world.narrows.data / "log" / "local" / "index.db"]
    holders = [sqlite3.connect(name, isolation_level=None, timeout=5) for name in names]
    for holder in holders:
        holder.execute("BEGIN EXCLUSIVE")
    async with Load(world, connections=8) as load:
        begin = time.monotonic()
        change(world, ["*_read", "extra"])
        await asyncio.sleep(3)
        early = await allowed(world, "extra")
        for holder in holders:
            holder.execute("ROLLBACK")
            holder.close()
        released = time.monotonic()
        while not (late := await allowed(world, "extra")) and time.monotonic() < released + 12:
            await asyncio.sleep(0.1)
        took = time.monotonic() - released
    statuses = {call.answer.status for call in load.calls if call.sent >= begin}
    problems = world.alive()
    if not statuses <= {200, 403}:
        problems.append(f"calls were answered with {statuses}")
    if early:
        problems.append("a change was in force that could not be saved")
    if not late:
        problems.append("the change did not come into force")
    tally.check("locked databases", problems)
    print(f"locked databases: calls went on, a change came into force {took:.2f} s after they were let go")


async def replaced_database(world, tally):
    """The database is replaced by an empty one. A change must not vanish at the next start without a word: it is not
    put in force while it can't be kept."""
    database = world.narrows.data / "narrows.db"
    aside = database.with_name("aside")
    database.rename(aside)
    database.touch(mode=0o600)
    change(world, ["*_read", "more"])
    await asyncio.sleep(3)
    early, calls = await allowed(world, "more"), await world.until(served, 3)
    os.replace(aside, database)
    deadline = time.monotonic() + 12
    while not (late := await allowed(world, "more")) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    problems = world.alive()
    if early:
        problems.append("a change was in force that is in no file of this name")
    if calls is None:
        problems.append("calls were not served")
    if not late:
        problems.append("with the database back, the change did not come into force")
    tally.check("a replaced database", problems)


def segment(world):
    return max((world.narrows.data / "log" / "local").glob("segment-*.jsonl"))


async def moved_segment(world, tally):
    """The file that records go to is moved away: what is written then is in no log. With the file back, it goes on."""
    path = segment(world)
    aside = path.with_name("aside")
    def take():
        path.rename(aside)

    return await taken_away(world, tally, "a log file that was moved away", take, lambda: aside.rename(path))


async def replaced_segment(world, tally):
    """A copy takes the place of the file that records go to."""
    path = segment(world)
    aside = path.with_name("aside")

    def take():
        copy = path.with_name("copy")
        copy.write_bytes(path.read_bytes())
        path.rename(aside)
        copy.rename(path)

    return await taken_away(world, tally, "a log file that was replaced", take, lambda: os.replace(aside, path))


async def taken_away(world, tally, name, take, give_back):
    async with Load(world) as load:
        await asyncio.sleep(0.3)
        window = Window(world, load)
        take()
        await asyncio.sleep(0.3)
        window.begins()
        await asyncio.sleep(1.5)
        window.ready = await world.ready()
        window.ends()
        give_back()
        window.recovered = await world.until(served, RECOVERY + 8)
        await asyncio.sleep(0.2)
    tally.check(name, window.problems())
    return [[name, *window.row()]]


# What another `up` says.
IN_USE = "another `narrows up` is running on"


async def second(world, tally, start):
    """Another `up` on the same directory is refused, and does not disturb the first."""
    code, said = await asyncio.to_thread(start)
    served_still = await world.until(served, 3)
    problems = world.alive() + ([] if code == 1 and IN_USE in said and "hint:" in said else [f"it ended with {code}: {said}"])
    problems += [] if served_still is not None else ["the first does not serve"]
    tally.check("a second `up` on the same directory", problems)


def change(world, tools):
    """Other tools for the role, in the file that is watched."""
    for number, document in enumerate(world.resources):
        if document["kind"] == "McpRole":
            world.resources[number] = gateway.role("caller", gateway.allow("dev", "*", tools=tools))
    documents = (json.dumps({"apiVersion": "narrows.dev/v1alpha1", **document}) for document in world.resources)
    file = world.narrows.file.with_suffix(".new")
    file.write_text("\n---\n".join(documents) + "\n")
    file.replace(world.narrows.file)


async def allowed(world, tool):
    """Whether this tool may be called now."""
    caller = world.caller("other")
    answer = await caller.call(tool, {"id": f"{tool}-{time.monotonic()}"})
    caller.close()
    return answer.status == 200
